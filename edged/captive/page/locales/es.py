# SPDX-License-Identifier: Apache-2.0
"""The built-in texts of the page in Spanish. Pure data; the keys are those of ``en``."""

from __future__ import annotations

from edged.captive.page.locales.money import Money

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
    "chip.looking": "Buscando",
    "chip.unseen": "Aún no visible",
    "chip.away": "En pausa",
    "chip.used-up": "En pausa",
    "chip.opening": "Abriendo",
    "chip.restored": "En línea",
    "chip.fault": "Un fallo nuestro",
    "blocked.title": "Su internet está en pausa",
    "blocked.text": "El servicio de esta línea está en pausa. Entre en su cuenta para ver el motivo y qué hacer.",
    "blocked.button": "Ver qué hacer",
    "blocked.unpaid.title": "Su internet está en pausa",
    "blocked.unpaid.text": (
        "Hay un pago pendiente en su cuenta. Cuando esté pagado, internet vuelve solo, normalmente en menos "
        "de un minuto."
    ),
    "blocked.unpaid.text.known": (
        "{amount} vencía el {date}. Cuando esté pagado, internet vuelve solo, normalmente en menos de un minuto."
    ),
    "blocked.unpaid.button": "Ver lo pendiente",
    "blocked.new.title": "Terminemos de configurar su línea",
    "blocked.new.button": "Registrar esta línea",
    "blocked.quota.title": "Los datos de este mes se agotaron",
    "blocked.quota.text": "Los datos de su plan se agotaron por ahora. Puede añadir más o esperar al nuevo periodo.",
    "blocked.quota.button": "Añadir datos",
    "blocked.abuse.title": "Pausamos su línea para protegerle",
    "blocked.abuse.text": (
        "Un dispositivo de su casa envía tráfico dañino. A menudo es un ordenador o una cámara infectados, "
        "y su dueño no suele saberlo."
    ),
    "blocked.abuse.button": "Cómo solucionarlo",
    "blocked.disabled.title": "Esta conexión está desactivada",
    "blocked.disabled.text": "El servicio aquí terminó o quedó suspendido. Puede reactivarlo o contratar uno nuevo.",
    "blocked.disabled.button": "Contactar",
    "blocked.unpaid.text.invoice": (
        "La factura {invoice} de {amount} vencía el {date}. Cuando esté pagada, internet vuelve solo, "
        "normalmente en menos de un minuto."
    ),
    "blocked.new.text": "Esta conexión funciona, pero aún no está registrada. Regístrela para usar internet.",
    "notice.title": "Un recordatorio: su internet funciona",
    "notice.text": "Hay un pago pendiente en su cuenta. Si sigue pendiente, la línea quedará en pausa.",
    "notice.text.known": "{amount} vence el {date}. Si sigue pendiente, la línea quedará en pausa.",
    "notice.button": "Ver lo pendiente",
    "notice.text.invoice": (
        "La factura {invoice} de {amount} vence el {date}. Si sigue pendiente, la línea quedará en pausa."
    ),
    "notice.text.overdue.known": "{amount} vencía el {date}. Si sigue pendiente, la línea quedará en pausa.",
    "notice.text.overdue.invoice": (
        "La factura {invoice} de {amount} vencía el {date}. Si sigue pendiente, la línea quedará en pausa."
    ),
    "notice.seen": "Continuar",
    "notice.later": "Recordármelo más tarde",
    "pass.text": ("Tiene tiempo para pagar o llamarnos. Las comprobaciones de tarjeta y las apps del banco funcionan."),
    "pass.button": "Ver lo pendiente",
    "pass.title": "Internet está abierto por un rato",
    "pass.title.until": "Internet está abierto hasta las {time}",
    "pass.then": "A las {time} la línea vuelve a quedar en pausa, salvo que su pago haya llegado antes.",
    "pass.none": "Las aperturas de hoy ya se usaron. En 24 horas como máximo puede abrir la línea otra vez.",
    "used-up.title": "Las aperturas de hoy ya se usaron",
    "used-up.text": (
        "En 24 horas como máximo puede abrir la línea otra vez. "
        "Pagar desde un teléfono con datos móviles funciona siempre."
    ),
    "used-up.button": "Ver lo pendiente",
    "looking.title": "Estamos buscando su pago",
    "looking.text": (
        "Cuando llegue, internet vuelve solo. Una transferencia puede tardar hasta el siguiente día hábil."
    ),
    "looking.button": "Ver lo pendiente",
    "unseen.title": "Todavía no lo vemos",
    "unseen.text": "No se ha perdido nada. Si su banco lo muestra como pagado, llámenos y lo buscamos juntos.",
    "unseen.button": "Ver lo pendiente",
    "away.title": "Su internet está en pausa",
    "away.text": "En este momento no podemos consultar los pagos. Aun así puede pagar o llamarnos.",
    "away.button": "Ver lo pendiente",
    "opening.title": "Estamos abriendo su línea",
    "opening.text": "Gracias, su pago ha llegado. Internet vuelve solo.",
    "opening.text.pass": "Internet se abre solo en un momento.",
    "restored.title": "Ya tiene internet de nuevo",
    "restored.text": "Gracias. Si una página aún no carga, cierre esta ventana y ábrala otra vez.",
    "restored.button": "Continuar",
    "drain.title": "Ya tiene internet de nuevo",
    "drain.text": "Gracias. Si una página aún no carga, cierre esta ventana y ábrala otra vez.",
    "open.title": "Su internet funciona",
    "open.text": "No hay nada que hacer aquí. Si una página no carga, espere un minuto y ábrala otra vez.",
    "stranger.title": "Esta página no tiene nada para este dispositivo",
    "stranger.text": "No está en una línea de {name}, o no está en pausa.",
    "stranger.button": "Comprobar mi conexión",
    "missing.title": "Esta página no existe",
    "missing.text": "La dirección puede ser antigua o estar incompleta.",
    "missing.button": "Ir al inicio",
    "fault.title": "Esta página tiene un fallo",
    "fault.text": "Es cosa nuestra. Mire otra vez dentro de un minuto o llámenos.",
    "pay.amount": "Pagar {amount}",
    "opens": "Abre {host}",
    "check": "Ya pagué: comprobar",
    "again": "Mirar otra vez",
    "outcome.seen": "Gracias. Su internet funciona: puede abrir la página que quería.",
    "outcome.later": "Se lo recordaremos más tarde. Su internet funciona: puede abrir la página que quería.",
    "count.title": "Tiempo restante",
    "count.over": "El tiempo ha terminado",
    "fact.amount": "Importe",
    "fact.due": "Vencimiento",
    "fact.name": "Nombre",
    "fact.customer": "Número de cliente",
    "fact.invoice": "Factura",
    "fact.since": "En pausa desde",
    "help.title": "¿Necesita ayuda o más tiempo?",
    "help.title.plain": "¿Necesita ayuda?",
    "help.text": "Podemos revisar la cuenta juntos y acordar lo que le venga bien.",
    "help.text.other": "Le explicamos más y le ayudamos a seguir.",
    "help.call": "Llamar al {phone}",
    "help.invoice": "El número de teléfono está en su factura.",
    "help.ways": "Otras formas de pagar",
    "help.reference": "Escriba esto con su pago: {invoice}",
    "real.title": "¿Esta página es realmente nuestra?",
    "real.text": "Escriba {host} en un navegador: verá esta página.",
    "real.never": "Esta página nunca pide una tarjeta ni una contraseña.",
    "real.phone": "Compare nuestro teléfono con el de su factura.",
    "real.staff": "Díganos por teléfono la referencia {reference}. Así podemos decirle qué plan tiene.",
    "browser.title": "Seguir en su navegador",
    "browser.text": "Si esta es una ventana pequeña de inicio de sesión, abra su navegador y escriba {host}.",
    "code.text": "En un teléfono: escanee el código o escriba esta dirección.",
    "code.label": "Código QR de la dirección {link}",
    "languages": "Idiomas",
    "foot.reference": "Referencia de la página",
    "foot.at": "Cuenta a {date}, {time}",
    "date": "{weekday}, {day} de {month} de {year}",
}

PLURAL = "(n != 1)"
"""Which form of ``COUNTED`` a number takes (CLDR), in the notation of gettext."""
COUNTED = {
    "minutes.left": (
        "{count} minuto",
        "{count} minutos",
    ),
    "pass.start": (
        "Abrir internet {count} minuto para pagar",
        "Abrir internet {count} minutos para pagar",
    ),
    "pass.left": (
        "Queda {count} apertura hoy",
        "Quedan {count} aperturas hoy",
    ),
    "remind.minutes": (
        "Se lo recordamos en {count} minuto",
        "Se lo recordamos en {count} minutos",
    ),
    "remind.hours": (
        "Se lo recordamos en {count} hora",
        "Se lo recordamos en {count} horas",
    ),
    "remind.days": (
        "Se lo recordamos en {count} día",
        "Se lo recordamos en {count} días",
    ),
}

MONEY = Money(
    decimal=",", group=".", grouped_from=5, pattern="{amount}\xa0{currency}", symbols={"EUR": "€", "USD": "US$"}
)
"""Decimal and thousands separator, where the currency stands, and the signs that are plain to every reader (CLDR)."""
