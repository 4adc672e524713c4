KERNELS: list[str]

def derive(kernel: str, passphrases: bytes, ssid: bytes, /) -> bytes: ...
def prepare(kernel: str, suite: int, pmks: bytes, /) -> bytes: ...
def search(
    kernel: str,
    suite: int,
    states: bytes,
    start: int,
    stop: int,
    messages: tuple[bytes, ...],
    frame: bytes,
    mic: bytes,
    /,
) -> int: ...
