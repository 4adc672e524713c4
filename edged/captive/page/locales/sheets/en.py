# SPDX-License-Identifier: Apache-2.0
"""The built-in texts of the resident's key sheet in English. Pure data; the keys are those of ``en``."""

from __future__ import annotations

TEXTS = {
    "title": "Your home Wi-Fi",
    "network": "Network",
    "key": "Key",
    "small": "All letters are small.",
    "capitals": "All letters are capitals.",
    "mixed": "Capital and small letters differ.",
    "dashes": "Type the dashes too.",
    "signs": "Type every sign.",
    "space": "A box stands for a space.",
    "long": "It is one word: type it without a break.",
    "clear": "The key has no o, l, i, 0 or 1.",
    "scan": "Point a phone's camera here",
    "code": "QR code to join {ssid}",
    "own": "This key is for your home alone.",
    "from": "Good from {date}.",
    "until": "Good until {date}.",
    "old": "The key that you had before works until {date}.",
    "phone": "Phone or tablet",
    "phone.how": "Scan the code and tap Join.",
    "computer": "Computer",
    "computer.how": "Choose {ssid} and type the key once.",
    "screen": "TV, console",
    "screen.how": "Open Settings, then Network, choose this network and type the key.",
    "thing": "Camera, plug",
    "thing.how": "Use its own app while your phone is on this network.",
    "hidden": "The network does not show itself: choose Other network and type its name.",
    "address": (
        "Switch off the private or random Wi-Fi address for this network on each of your devices: we know them "
        "by their own address."
    ),
    "registered": "The key works on the devices that are registered for it. Tell us when you have a new one.",
    "wrong": "It says wrong password?",
    "wrong.how": "Compare every sign with this sheet.",
    "help": "Questions, or a new key?",
    "help.call": "Call {phone}.",
    "help.link": "Your account: {link}",
    "keep": "Keep this sheet to yourself: whoever has the key can use your Wi-Fi.",
    "back": "English on the back",
    "printed": "Printed {date}",
    "number": "Key number {id}",
    "fold": "Fold here",
    "card": "Scan the code with a phone, or choose the network and type the key.",
    "list": "Keys to hand out",
    "list.unit": "Home",
    "list.site": "Site",
    "list.number": "Key number",
    "list.given": "Handed out on",
}

COUNTED = {
    "limit": (
        "Good for {count} device.",
        "Good for up to {count} devices.",
    ),
    "list.count": (
        "{count} key",
        "{count} keys",
    ),
}
