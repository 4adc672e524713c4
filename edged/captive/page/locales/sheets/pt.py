# SPDX-License-Identifier: Apache-2.0
"""The built-in texts of the resident's key sheet in Portuguese. Pure data; the keys are those of ``en``."""

from __future__ import annotations

TEXTS = {
    "title": "O Wi-Fi da sua casa",
    "network": "Rede",
    "key": "Chave",
    "small": "Todas as letras são minúsculas.",
    "capitals": "Todas as letras são maiúsculas.",
    "mixed": "Maiúsculas e minúsculas são diferentes.",
    "dashes": "Digite também os hífens.",
    "signs": "Digite todos os sinais.",
    "space": "Um quadro representa um espaço.",
    "long": "É uma só palavra: digite sem interrupção.",
    "clear": "A chave não tem o, l, i, 0 nem 1.",
    "scan": "Aponte aqui a câmera do celular",
    "code": "Código QR para entrar em {ssid}",
    "own": "Esta chave é só da sua casa.",
    "from": "Válida a partir de {date}.",
    "until": "Válida até {date}.",
    "old": "A chave que você tinha antes funciona até {date}.",
    "phone": "Celular ou tablet",
    "phone.how": "Leia o código e toque em Conectar.",
    "computer": "Computador",
    "computer.how": "Escolha {ssid} e digite a chave uma vez.",
    "screen": "TV, console",
    "screen.how": "Abra Configurações, depois Rede, escolha esta rede e digite a chave.",
    "thing": "Câmera, tomada",
    "thing.how": "Use o aplicativo do aparelho com o celular conectado a esta rede.",
    "hidden": "A rede não aparece na lista: escolha Outra rede e digite o nome dela.",
    "address": (
        "Desative o endereço Wi-Fi privado ou aleatório para esta rede em cada aparelho: nós os reconhecemos "
        "pelo endereço próprio."
    ),
    "registered": "A chave funciona nos aparelhos registrados para ela. Avise-nos quando tiver um novo.",
    "wrong": "Aparece senha incorreta?",
    "wrong.how": "Compare cada sinal com esta folha.",
    "help": "Perguntas, ou uma chave nova?",
    "help.call": "Ligue para {phone}.",
    "help.link": "Sua conta: {link}",
    "keep": "Guarde esta folha só para você: quem tem a chave pode usar o seu Wi-Fi.",
    "back": "Português no verso",
    "printed": "Impresso em {date}",
    "number": "Chave número {id}",
    "fold": "Dobre aqui",
    "card": "Leia o código com um celular, ou escolha a rede e digite a chave.",
    "list": "Chaves para entregar",
    "list.unit": "Moradia",
    "list.site": "Local",
    "list.number": "Número da chave",
    "list.given": "Entregue em",
}

COUNTED = {
    "limit": (
        "Vale para {count} aparelho.",
        "Vale para até {count} aparelhos.",
    ),
    "list.count": (
        "{count} chave",
        "{count} chaves",
    ),
}
