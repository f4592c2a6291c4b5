"""Domains of mail providers, where many strangers have their addresses: never to be barred as a whole."""

from __future__ import annotations

from typing import Final

# By name, as most are run under many country codes: yahoo.de, yahoo.co.uk, …
_NAMES: Final = frozenset({
    "aol", "fastmail", "gmail", "gmx", "googlemail", "hotmail", "hushmail", "icloud", "inbox", "laposte", "libero",
    "live", "mail", "mailbox", "mailfence", "mailinator", "msn", "outlook", "pm", "posteo", "proton", "protonmail",
    "qq", "rediffmail", "rocketmail", "seznam", "skynet", "tuta", "tutanota", "wanadoo", "web", "yahoo", "yandex",
    "ymail", "zoho", "zohomail",
})  # fmt: skip
_DOMAINS: Final = frozenset({
    "126.com", "163.com", "abv.bg", "alice.it", "arcor.de", "att.net", "bigpond.com", "bk.ru", "blueyonder.co.uk",
    "bluewin.ch", "bol.com.br", "btinternet.com", "centrum.cz", "charter.net", "comcast.net", "cox.net", "daum.net",
    "duck.com", "earthlink.net", "email.cz", "email.de", "foxmail.com",
    "free.fr", "freenet.de", "hanmail.net", "hey.com", "interia.pl", "kabelmail.de", "kpnmail.nl", "list.ru", "mac.com",
    "magenta.de", "me.com", "naver.com", "netcologne.de", "neuf.fr", "ntlworld.com", "o2.pl", "o2online.de",
    "online.de", "onet.pl", "op.pl", "optonline.net", "orange.fr", "poczta.onet.pl", "privaterelay.appleid.com",
    "protonmail.ch", "sbcglobal.net", "sfr.fr", "shaw.ca", "sina.com", "sky.com", "sunrise.ch", "sympatico.ca",
    "t-online.de", "talktalk.net", "telenet.be", "telia.com", "terra.com.br", "tiscali.it", "tonline.de", "ukr.net",
    "unitybox.de", "uol.com.br", "verizon.net", "versatel.de", "virgilio.it", "virginmedia.com", "vodafone.de",
    "vodafonemail.de", "wp.pl", "xs4all.nl", "xtra.co.nz", "ziggo.nl",
})  # fmt: skip


def is_public(domain: str) -> bool:
    """Tell whether a domain is a mail provider's, as far as this list knows.

    :param domain: domain of an email key
    """
    return domain in _DOMAINS or domain.partition(".")[0] in _NAMES
