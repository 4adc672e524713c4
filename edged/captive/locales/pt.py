# SPDX-License-Identifier: Apache-2.0
"""The built-in texts of the page in Portuguese. Pure data; the keys are those of ``en``."""

from __future__ import annotations

NAME = "Português"
DIRECTION = "ltr"
MONTHS = (
    "janeiro",
    "fevereiro",
    "março",
    "abril",
    "maio",
    "junho",
    "julho",
    "agosto",
    "setembro",
    "outubro",
    "novembro",
    "dezembro",
)
WEEKDAYS = (
    "segunda-feira",
    "terça-feira",
    "quarta-feira",
    "quinta-feira",
    "sexta-feira",
    "sábado",
    "domingo",
)
"""Monday first."""

TEXTS = {
    "chip.blocked": "Em pausa",
    "chip.notice": "Lembrete",
    "chip.pass": "Aberta por um tempo",
    "chip.drain": "Online",
    "chip.open": "Online",
    "chip.stranger": "Fora desta linha",
    "chip.missing": "Não encontrada",
    "blocked.title": "Sua internet está em pausa",
    "blocked.text": ("O serviço desta linha está em pausa. Entre na sua conta para ver o motivo e o que fazer."),
    "blocked.button": "Ver o que fazer",
    "blocked.unpaid.title": "Sua internet está em pausa",
    "blocked.unpaid.text": (
        "Há um pagamento em aberto na sua conta. Depois de pago, a internet volta sozinha, em "
        "geral em menos de um minuto."
    ),
    "blocked.unpaid.text.known": (
        "{amount} venceu em {date}. Depois de pago, a internet volta sozinha, em geral em menos de um minuto."
    ),
    "blocked.unpaid.button": "Ver o valor em aberto",
    "blocked.new.title": "Vamos terminar de configurar sua linha",
    "blocked.new.text": "Esta conexão funciona, mas ainda não está registrada. Leva cerca de dois minutos.",
    "blocked.new.button": "Registrar esta linha",
    "blocked.quota.title": "Os dados deste mês acabaram",
    "blocked.quota.text": (
        "Os dados do seu plano acabaram por enquanto. Você pode adicionar mais ou esperar o novo período."
    ),
    "blocked.quota.button": "Adicionar dados",
    "blocked.abuse.title": "Pausamos sua linha para proteger você",
    "blocked.abuse.text": (
        "Um aparelho na sua casa está enviando tráfego nocivo. Muitas vezes é um computador ou "
        "uma câmera infectada, e o dono em geral não sabe."
    ),
    "blocked.abuse.button": "Como resolver",
    "blocked.disabled.title": "Esta conexão está desligada",
    "blocked.disabled.text": ("O serviço aqui terminou ou foi suspenso. Você pode reativá-lo ou começar um novo."),
    "blocked.disabled.button": "Falar conosco",
    "notice.title": "Um lembrete: sua internet funciona",
    "notice.text": "Há um pagamento em aberto na sua conta. Se continuar em aberto, a linha será pausada.",
    "notice.text.known": "{amount} vence em {date}. Se continuar em aberto, a linha será pausada.",
    "notice.button": "Ver o valor em aberto",
    "notice.seen": "Continuar",
    "notice.later": "Lembrar mais tarde",
    "pass.title": "A internet está aberta por um tempo",
    "pass.text": ("Você tem tempo para pagar ou ligar para nós. Verificações de cartão e apps de banco funcionam."),
    "pass.button": "Ver o valor em aberto",
    "drain.title": "Sua internet voltou",
    "drain.text": "Obrigado. Se uma página ainda não abrir, feche esta janela e abra de novo.",
    "open.title": "Sua internet funciona",
    "open.text": "Não há nada a fazer aqui. Se uma página não abrir, espere um minuto e tente de novo.",
    "stranger.title": "Esta página não tem nada para este aparelho",
    "stranger.text": "Você não está em uma linha da {name}, ou ela não está em pausa.",
    "missing.title": "Esta página não existe",
    "missing.text": "O endereço pode ser antigo ou estar incompleto.",
    "missing.button": "Ir para o início",
    "pay": "Pagar",
    "pay.amount": "Pagar {amount}",
    "opens": "Abre {host}",
    "check": "Já paguei: verificar",
    "again": "Verificar de novo",
    "pass.start": "Abrir a internet por {minutes} min para pagar",
    "pass.left": "Restam hoje: {count}",
    "outcome.check": (
        "Estamos consultando seu pagamento. Quando chegar, a internet volta sozinha. Uma "
        "transferência pode levar até o próximo dia útil."
    ),
    "outcome.pass-used": (
        "As aberturas de hoje já foram usadas. Amanhã você pode abrir a linha de novo. Pagar pelo"
        " celular com dados móveis funciona sempre."
    ),
    "outcome.seen": "Obrigado. Sua internet funciona como antes.",
    "outcome.later": "Vamos lembrar mais tarde. Sua internet funciona como antes.",
    "fact.amount": "Valor",
    "fact.due": "Vencimento",
    "fact.name": "Nome",
    "fact.customer": "Número de cliente",
    "fact.minutes": "Minutos restantes",
    "help.title": "Precisa de ajuda ou de mais tempo?",
    "help.text": ("Ligue para o número da sua fatura. Podemos ver a conta juntos e combinar o que for bom para você."),
    "help.disabled": "Ligue para o número da sua fatura. Explicamos melhor e ajudamos você a recomeçar.",
    "real.title": "Esta página é mesmo nossa?",
    "real.text": "Digite {host} em um navegador: você verá esta página. Ela nunca pede cartão nem senha.",
    "browser": "Para continuar no navegador, abra {host}",
    "languages": "Idiomas",
    "date": "{weekday}, {day} de {month} de {year}",
}
