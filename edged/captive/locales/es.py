# SPDX-License-Identifier: Apache-2.0
"""The built-in texts of the page in Spanish. Pure data; the keys are those of ``en``."""

from __future__ import annotations

NAME = "Español"
DIRECTION = "ltr"
MONTHS = (
    "enero",
    "febrero",
    "marzo",
    "abril",
    "mayo",
    "junio",
    "julio",
    "agosto",
    "septiembre",
    "octubre",
    "noviembre",
    "diciembre",
)
WEEKDAYS = (
    "lunes",
    "martes",
    "miércoles",
    "jueves",
    "viernes",
    "sábado",
    "domingo",
)
"""Monday first."""

TEXTS = {
    "chip.blocked": "En pausa",
    "chip.notice": "Recordatorio",
    "chip.pass": "Abierto por un rato",
    "chip.drain": "En línea",
    "chip.open": "En línea",
    "chip.stranger": "Fuera de esta línea",
    "chip.missing": "No encontrada",
    "blocked.title": "Su internet está en pausa",
    "blocked.text": ("El servicio de esta línea está en pausa. Entre en su cuenta para ver el motivo y qué hacer."),
    "blocked.button": "Ver qué hacer",
    "blocked.unpaid.title": "Su internet está en pausa",
    "blocked.unpaid.text": (
        "Hay un pago pendiente en su cuenta. Cuando esté pagado, internet vuelve solo, "
        "normalmente en menos de un minuto."
    ),
    "blocked.unpaid.text.known": (
        "{amount} vencía el {date}. Cuando esté pagado, internet vuelve solo, normalmente en menos de un minuto."
    ),
    "blocked.unpaid.button": "Ver lo pendiente",
    "blocked.new.title": "Terminemos de configurar su línea",
    "blocked.new.text": "Esta conexión funciona, pero aún no está registrada. Se tarda unos dos minutos.",
    "blocked.new.button": "Registrar esta línea",
    "blocked.quota.title": "Los datos de este mes se agotaron",
    "blocked.quota.text": ("Los datos de su plan se agotaron por ahora. Puede añadir más o esperar al nuevo periodo."),
    "blocked.quota.button": "Añadir datos",
    "blocked.abuse.title": "Pausamos su línea para protegerle",
    "blocked.abuse.text": (
        "Un dispositivo de su casa envía tráfico dañino. A menudo es un ordenador o una cámara "
        "infectados, y su dueño no suele saberlo."
    ),
    "blocked.abuse.button": "Cómo solucionarlo",
    "blocked.disabled.title": "Esta conexión está desactivada",
    "blocked.disabled.text": ("El servicio aquí terminó o quedó suspendido. Puede reactivarlo o contratar uno nuevo."),
    "blocked.disabled.button": "Contactar",
    "notice.title": "Un recordatorio: su internet funciona",
    "notice.text": "Hay un pago pendiente en su cuenta. Si sigue pendiente, la línea quedará en pausa.",
    "notice.text.known": "{amount} vence el {date}. Si sigue pendiente, la línea quedará en pausa.",
    "notice.button": "Ver lo pendiente",
    "notice.seen": "Continuar",
    "notice.later": "Recordármelo más tarde",
    "pass.title": "Internet está abierto por un rato",
    "pass.text": ("Tiene tiempo para pagar o llamarnos. Las comprobaciones de tarjeta y las apps del banco funcionan."),
    "pass.button": "Ver lo pendiente",
    "drain.title": "Ya tiene internet de nuevo",
    "drain.text": "Gracias. Si una página aún no carga, cierre esta ventana y ábrala otra vez.",
    "open.title": "Su internet funciona",
    "open.text": "No hay nada que hacer aquí. Si una página no carga, espere un minuto y ábrala otra vez.",
    "stranger.title": "Esta página no tiene nada para este dispositivo",
    "stranger.text": "No está en una línea de {name}, o no está en pausa.",
    "missing.title": "Esta página no existe",
    "missing.text": "La dirección puede ser antigua o estar incompleta.",
    "missing.button": "Ir al inicio",
    "pay": "Pagar",
    "pay.amount": "Pagar {amount}",
    "opens": "Abre {host}",
    "check": "Ya pagué: comprobar",
    "again": "Mirar otra vez",
    "pass.start": "Abrir internet {minutes} min para pagar",
    "pass.left": "Quedan hoy: {count}",
    "outcome.check": (
        "Estamos consultando su pago. Cuando llegue, internet vuelve solo. Una transferencia "
        "puede tardar hasta el siguiente día hábil."
    ),
    "outcome.pass-used": (
        "Las aperturas de hoy ya se usaron. Mañana puede abrir la línea otra vez. Pagar desde un "
        "teléfono con datos móviles funciona siempre."
    ),
    "outcome.seen": "Gracias. Su internet funciona como antes.",
    "outcome.later": "Se lo recordaremos más tarde. Su internet funciona como antes.",
    "fact.amount": "Importe",
    "fact.due": "Vencimiento",
    "fact.name": "Nombre",
    "fact.customer": "Número de cliente",
    "fact.minutes": "Minutos restantes",
    "help.title": "¿Necesita ayuda o más tiempo?",
    "help.text": ("Llame al número de su factura. Podemos revisar la cuenta juntos y acordar lo que le venga bien."),
    "help.disabled": "Llame al número de su factura. Le explicamos más y le ayudamos a empezar de nuevo.",
    "real.title": "¿Esta página es realmente nuestra?",
    "real.text": ("Escriba {host} en un navegador: verá esta página. Nunca pide una tarjeta ni una contraseña."),
    "browser": "Para seguir en su navegador, abra {host}",
    "languages": "Idiomas",
    "date": "{weekday}, {day} de {month} de {year}",
}
