# SPDX-License-Identifier: Apache-2.0
"""The built-in texts of the resident's key sheet in Spanish. Pure data; the keys are those of ``en``."""

from __future__ import annotations

TEXTS = {
    "title": "El wifi de su hogar",
    "network": "Red",
    "key": "Clave",
    "small": "Todas las letras son minúsculas.",
    "capitals": "Todas las letras son mayúsculas.",
    "mixed": "Se distinguen mayúsculas y minúsculas.",
    "dashes": "Escriba también los guiones.",
    "signs": "Escriba todos los signos.",
    "space": "Un recuadro representa un espacio.",
    "long": "Es una sola palabra: escríbala sin cortes.",
    "clear": "La clave no tiene o, l, i, 0 ni 1.",
    "scan": "Apunte aquí con la cámara del móvil",
    "code": "Código QR para conectarse a {ssid}",
    "own": "Esta clave es solo para su hogar.",
    "from": "Válida desde el {date}.",
    "until": "Válida hasta el {date}.",
    "old": "La clave que tenía antes funciona hasta el {date}.",
    "phone": "Móvil o tableta",
    "phone.how": "Escanee el código y toque Conectar.",
    "computer": "Ordenador",
    "computer.how": "Elija {ssid} y escriba la clave una vez.",
    "screen": "Televisor, consola",
    "screen.how": "Abra Ajustes, luego Red, elija esta red y escriba la clave.",
    "thing": "Cámara, enchufe",
    "thing.how": "Use su propia aplicación con el móvil conectado a esta red.",
    "hidden": "La red no aparece en la lista: elija Otra red y escriba su nombre.",
    "address": (
        "Desactive la dirección wifi privada o aleatoria para esta red en cada uno de sus dispositivos: los "
        "reconocemos por su propia dirección."
    ),
    "registered": "La clave funciona en los dispositivos registrados para ella. Avísenos cuando tenga uno nuevo.",
    "wrong": "¿Dice contraseña incorrecta?",
    "wrong.how": "Compare cada signo con esta hoja.",
    "help": "¿Preguntas, o una clave nueva?",
    "help.call": "Llame al {phone}.",
    "help.link": "Su cuenta: {link}",
    "keep": "Guarde esta hoja para usted: quien tenga la clave puede usar su wifi.",
    "back": "Español al dorso",
    "printed": "Impreso el {date}",
    "number": "Clave número {id}",
    "fold": "Doblar aquí",
    "card": "Escanee el código con un móvil, o elija la red y escriba la clave.",
    "list": "Claves para entregar",
    "list.unit": "Vivienda",
    "list.site": "Lugar",
    "list.number": "Número de clave",
    "list.given": "Entregada el",
}

COUNTED = {
    "limit": (
        "Vale para {count} dispositivo.",
        "Vale para un máximo de {count} dispositivos.",
    ),
    "list.count": (
        "{count} clave",
        "{count} claves",
    ),
}
