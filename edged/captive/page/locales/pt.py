# SPDX-License-Identifier: Apache-2.0
"""The built-in texts of the page in Portuguese. Pure data; the keys are those of ``en``."""

from __future__ import annotations

from edged.captive.page.locales.money import Money

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
    "chip.looking": "Procurando",
    "chip.unseen": "Ainda não visto",
    "chip.away": "Em pausa",
    "chip.used-up": "Em pausa",
    "chip.opening": "Abrindo",
    "chip.restored": "Online",
    "chip.fault": "Uma falha nossa",
    "blocked.title": "Sua internet está em pausa",
    "blocked.text": "O serviço desta linha está em pausa. Entre na sua conta para ver o motivo e o que fazer.",
    "blocked.button": "Ver o que fazer",
    "blocked.unpaid.title": "Sua internet está em pausa",
    "blocked.unpaid.text": (
        "Há um pagamento em aberto na sua conta. Depois de pago, a internet volta sozinha, em geral em "
        "menos de um minuto."
    ),
    "blocked.unpaid.text.known": (
        "{amount} venceu em {date}. Depois de pago, a internet volta sozinha, em geral em menos de um minuto."
    ),
    "blocked.unpaid.button": "Ver o valor em aberto",
    "blocked.new.title": "Vamos terminar de configurar sua linha",
    "blocked.new.button": "Registrar esta linha",
    "blocked.quota.title": "Os dados deste mês acabaram",
    "blocked.quota.text": (
        "Os dados do seu plano acabaram por enquanto. Você pode adicionar mais ou esperar o novo período."
    ),
    "blocked.quota.button": "Adicionar dados",
    "blocked.abuse.title": "Pausamos sua linha para proteger você",
    "blocked.abuse.text": (
        "Um aparelho na sua casa está enviando tráfego nocivo. Muitas vezes é um computador ou uma câmera "
        "infectada, e o dono em geral não sabe."
    ),
    "blocked.abuse.button": "Como resolver",
    "blocked.disabled.title": "Esta conexão está desligada",
    "blocked.disabled.text": "O serviço aqui terminou ou foi suspenso. Você pode reativá-lo ou começar um novo.",
    "blocked.disabled.button": "Falar conosco",
    "blocked.unpaid.text.invoice": (
        "A fatura {invoice} de {amount} venceu em {date}. Depois de paga, a internet volta sozinha, em "
        "geral em menos de um minuto."
    ),
    "blocked.new.text": "Esta conexão funciona, mas ainda não está registrada. Registre-a para usar a internet.",
    "notice.title": "Um lembrete: sua internet funciona",
    "notice.text": "Há um pagamento em aberto na sua conta. Se continuar em aberto, a linha será pausada.",
    "notice.text.known": "{amount} vence em {date}. Se continuar em aberto, a linha será pausada.",
    "notice.button": "Ver o valor em aberto",
    "notice.text.invoice": (
        "A fatura {invoice} de {amount} vence em {date}. Se continuar em aberto, a linha será pausada."
    ),
    "notice.text.overdue.known": "{amount} venceu em {date}. Se continuar em aberto, a linha será pausada.",
    "notice.text.overdue.invoice": (
        "A fatura {invoice} de {amount} venceu em {date}. Se continuar em aberto, a linha será pausada."
    ),
    "notice.seen": "Continuar",
    "notice.later": "Lembrar mais tarde",
    "pass.text": "Você tem tempo para pagar ou ligar para nós. Verificações de cartão e apps de banco funcionam.",
    "pass.button": "Ver o valor em aberto",
    "pass.title": "A internet está aberta por um tempo",
    "pass.title.until": "A internet está aberta até {time}",
    "pass.then": "Às {time} a linha volta a ficar em pausa, a não ser que o pagamento chegue antes.",
    "pass.none": "As aberturas de hoje já foram usadas. Em no máximo 24 horas você pode abrir a linha de novo.",
    "used-up.title": "As aberturas de hoje já foram usadas",
    "used-up.text": (
        "Em no máximo 24 horas você pode abrir a linha de novo. Pagar pelo celular com dados móveis funciona sempre."
    ),
    "used-up.button": "Ver o valor em aberto",
    "looking.title": "Estamos procurando seu pagamento",
    "looking.text": "Quando chegar, a internet volta sozinha. Uma transferência pode levar até o próximo dia útil.",
    "looking.button": "Ver o valor em aberto",
    "unseen.title": "Ainda não o vemos",
    "unseen.text": "Nada se perdeu. Se o seu banco mostra o pagamento, ligue para nós e procuramos juntos.",
    "unseen.button": "Ver o valor em aberto",
    "away.title": "Sua internet está em pausa",
    "away.text": "Neste minuto não conseguimos consultar pagamentos. Mesmo assim você pode pagar ou ligar para nós.",
    "away.button": "Ver o valor em aberto",
    "opening.title": "Estamos abrindo sua linha",
    "opening.text": "Obrigado, seu pagamento chegou. A internet volta sozinha.",
    "opening.text.pass": "A internet abre sozinha em um momento.",
    "restored.title": "Sua internet voltou",
    "restored.text": "Obrigado. Se uma página ainda não abrir, feche esta janela e abra de novo.",
    "restored.button": "Continuar",
    "drain.title": "Sua internet voltou",
    "drain.text": "Obrigado. Se uma página ainda não abrir, feche esta janela e abra de novo.",
    "open.title": "Sua internet funciona",
    "open.text": "Não há nada a fazer aqui. Se uma página não abrir, espere um minuto e tente de novo.",
    "stranger.title": "Esta página não tem nada para este aparelho",
    "stranger.text": "Você não está em uma linha da {name}, ou ela não está em pausa.",
    "stranger.button": "Verificar minha conexão",
    "missing.title": "Esta página não existe",
    "missing.text": "O endereço pode ser antigo ou estar incompleto.",
    "missing.button": "Ir para o início",
    "fault.title": "Esta página tem uma falha",
    "fault.text": "A falha é nossa. Verifique de novo em um minuto ou ligue para nós.",
    "pay.amount": "Pagar {amount}",
    "opens": "Abre {host}",
    "check": "Já paguei: verificar",
    "again": "Verificar de novo",
    "outcome.seen": "Obrigado. Sua internet funciona: você pode abrir a página que queria.",
    "outcome.later": "Vamos lembrar mais tarde. Sua internet funciona: você pode abrir a página que queria.",
    "count.title": "Tempo restante",
    "count.over": "O tempo acabou",
    "fact.amount": "Valor",
    "fact.due": "Vencimento",
    "fact.name": "Nome",
    "fact.customer": "Número de cliente",
    "fact.invoice": "Fatura",
    "fact.since": "Em pausa desde",
    "help.title": "Precisa de ajuda ou de mais tempo?",
    "help.title.plain": "Precisa de ajuda?",
    "help.text": "Podemos ver a conta juntos e combinar o que for bom para você.",
    "help.text.other": "Explicamos melhor e ajudamos você a continuar.",
    "help.call": "Ligar para {phone}",
    "help.invoice": "O número de telefone está na sua fatura.",
    "help.ways": "Outras formas de pagar",
    "help.reference": "Escreva isto no pagamento: {invoice}",
    "real.title": "Esta página é mesmo nossa?",
    "real.text": "Digite {host} em um navegador: você verá esta página.",
    "real.never": "Esta página nunca pede cartão nem senha.",
    "real.phone": "Compare nosso telefone com o da sua fatura.",
    "real.staff": "Diga-nos ao telefone a referência {reference}. Assim podemos dizer qual é o seu plano.",
    "browser.title": "Continuar no navegador",
    "browser.text": "Se esta é uma pequena janela de login, abra seu navegador e digite {host}.",
    "code.text": "No celular: leia o código ou digite este endereço.",
    "code.label": "Código QR do endereço {link}",
    "languages": "Idiomas",
    "foot.reference": "Referência da página",
    "foot.at": "Conta em {date}, {time}",
    "date": "{weekday}, {day} de {month} de {year}",
}

PLURAL = "(n > 1)"
"""Which form of ``COUNTED`` a number takes (CLDR), in the notation of gettext."""
COUNTED = {
    "minutes.left": (
        "{count} minuto",
        "{count} minutos",
    ),
    "pass.start": (
        "Abrir a internet por {count} minuto para pagar",
        "Abrir a internet por {count} minutos para pagar",
    ),
    "pass.left": (
        "Resta {count} abertura hoje",
        "Restam {count} aberturas hoje",
    ),
    "remind.minutes": (
        "Lembramos você em {count} minuto",
        "Lembramos você em {count} minutos",
    ),
    "remind.hours": (
        "Lembramos você em {count} hora",
        "Lembramos você em {count} horas",
    ),
    "remind.days": (
        "Lembramos você em {count} dia",
        "Lembramos você em {count} dias",
    ),
}

MONEY = Money(
    decimal=",",
    group=".",
    grouped_from=4,
    pattern="{currency}\xa0{amount}",
    symbols={"BRL": "R$", "EUR": "€", "GBP": "£", "USD": "US$"},
)
"""Decimal and thousands separator, where the currency stands, and the signs that are plain to every reader (CLDR)."""
