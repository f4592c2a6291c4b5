"""Which column of a table is what of a lead, by its name: English and German, as programs and people write it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final

from airflow_providers_leads.leads.model.schema import ALIASES_PROPERTY, LEAD_COLUMNS

FIELD_NAMES: Final[Mapping[str, str]] = {
    "email": "email email_address e_mail_adresse mail mail_adresse email_1 email_1_value primary_email work_email "
    "business_email email_business email_geschaeftlich geschaeftliche_email email_work contact_email kontakt_email "
    "your_email ihre_email deine_email your_email_address ihre_email_adresse deine_email_adresse kontakt_email_adresse "
    "work_email_address business_email_address contact_email_address geschaeftliche_email_adresse email_id "
    "adresse_email email_privat private_email personal_email",
    "first_name": "first_name vorname given_name fname first rufname vornamen",
    "last_name": "last_name nachname surname family_name lname last familienname zuname nachnamen",
    "phone": "phone phone_number telefon telefonnummer tel tel_nr telephone telephone_number telefon_nr rufnummer "
    "phone_1_value business_phone work_phone telefon_geschaeftlich telefon_dienstlich festnetz mobile_phone "
    "mobile_phone_number mobile mobile_number mobil mobilnummer mobiltelefon mobil_nr handy handynummer handy_nr cell "
    "cell_phone telefon_mobil telefon_privat home_phone primary_phone",
    "company": "company company_name firma firmenname firma_name unternehmen unternehmensname organisation "
    "organization organisation_name organization_name organization_1_name account account_name employer arbeitgeber "
    "betrieb associated_company name_der_firma name_firma kunde_firma",
    "title": "job_title title jobtitel position funktion berufsbezeichnung job_bezeichnung role rolle stelle "
    "positionsbezeichnung job organization_1_title position_title funktion_position",
    "website": "website website_url webseite homepage web web_site internet internetadresse www company_website url "
    "website_1_value internetseite company_url",
    "address": "address street street_address strasse strasse_hausnummer strasse_und_hausnummer strasse_nr "
    "strasse_hausnr strasse_u_hausnr strasse_und_nr anschrift address_1 address_line_1 business_street adresse "
    "adresse_1 adresszeile_1 mailing_street",
    "city": "city town ort stadt wohnort business_city mailing_city ortschaft",
    "state": "state state_region bundesland region province kanton business_state mailing_state",
    "postal_code": "postal_code zip zip_code plz postleitzahl postcode business_postal_code mailing_zip "
    "zip_postal_code",
    "country": "country country_region land staat country_name laendername business_country mailing_country",
    "industry": "industry branche industriezweig sector wirtschaftszweig wirtschaftsbereich",
    "status": "status lead_status kontaktstatus contact_status leadstatus",
    "created_at": "created_at create_date creation_date created created_on created_time created_date erstellt_am "
    "erstelldatum erstellungsdatum erstellt angelegt_am angelegt anlagedatum timestamp zeitstempel submitted_at "
    "submission_date date_added added_at date_created signup_date eingang eingegangen_am optin_time opt_in_time",
    "updated_at": "updated_at updated last_modified last_modified_date modified modified_on modified_at modified_date "
    "last_updated last_changed date_modified geaendert_am zuletzt_geaendert zuletzt_geaendert_am aenderungsdatum "
    "letzte_aenderung aktualisiert_am aktualisiert",
}
"""Field of a lead → the names that its column may have, likeliest first; their separators don't matter."""

HOUSE_NUMBER: Final = "house_number"
"""Stands beside the fields of a lead: it is added to the address."""
FIELDS: Final = (
    *(name for name in LEAD_COLUMNS if name not in ("source", "source_scope", "email_key", "properties")),
    HOUSE_NUMBER,
    ALIASES_PROPERTY,
)
"""What a column can be named for."""

_OTHER_NAMES: Final[Mapping[str, str]] = {
    HOUSE_NUMBER: "house_number hausnummer hausnr haus_nr hnr",
    "bounced": "bounced is_bounced is_email_bounced email_is_bounced hard_bounces "
    "hard_bounce_count hard_bounce hard_bounced hardbounce unzustellbar email_bounced bounce cleaned clean_time "
    "bounce_date bounced_at hard_bounce_reason email_hard_bounce_reason",
}
_OPTED_OUT: Final = re.compile(
    r"unsub|opt(ed|ing)?_?out|has_?opted_?out|ab(ge)?meld|austrag|ausgetragen|do_?not_?(e_?)?(mail|contact|market)|\bdnc\b"
    r"|(werbe|kontakt|versand|e?mail)_?sperre|sperrvermerk|keine?_?(werbung|e?_?mail|kontakt|newsletter)|nicht_?(kontakt|mail|an(mail|schr))"
    r"|gesperrt|widerr[uo]f|widers[pr]+[uo]ch|blacklist|sperrliste|robinson|suppress|no_?(e_?)?mail(ing)?s?$|no_?contact"
    r"|complain|spam_?report"
    # Spanish, French, Italian, Dutch, Portuguese, the Scandinavian languages, Polish.
    r"|(^|_)bajas?(_|$)|desuscri|no_(enviar|molestar|publicidad)|desabonn|desinscri|ne_pas_(contact|envoy|sollicit|demarch)"
    r"|disiscri|non_(contattare|inviare)|uitgeschr|uitschrijf|af(ge)?meld|niet_(contact|mail|benader)|geen_(e?mail|nieuwsbrief|reclame)"
    r"|descadastr|nao_(contat|enviar|perturb)|avmeld|avregistrer|avanmal|wypisan|sprzeciw"
)
# Consent to be called or written to on paper says nothing of mail, and a link to unsubscribe stands in every row.
_OTHER_CHANNEL: Final = re.compile(
    r"sms|fax|call|phone|telefon|anruf|appel|llamad|voicemail|whatsapp|(?<!nieuws)brief|courrier|postal"
)
_BY_MAIL_TOO: Final = re.compile(r"(?<!voice)mail|newsletter|nieuwsbrief")
_LINK: Final = re.compile(r"_?(link|url)$")
_OPTED_IN: Final = re.compile(
    r"(^|_)(double_?)?opt(ed)?_?in(_|$)|(^|_)subscribed(_|$)|einwilligung|consent|(^|_)accepts_(email_)?marketing"
    r"|^newsletter(_(abo|anmeldung|subscription|signup|opt_?in))?$|(^|_)angemeldet(_|$)|(^|_)abonniert(_|$)|(^|_)doi(_|$)|zustimmung|werbeerlaubnis"
    r"|(^|_)(newsletter|werb\w*|e?mail\w*|marketing|kontakt\w*|contact)_(erlaubt|allowed|erwuenscht|gewuenscht)(_|$)"
    r"|^(werbung|mailings?|marketing_(e?mails?|communications?|messages?))$"
    r"|einverstaend|einverstanden|^(dsgvo|gdpr|rgpd)(_(ok|status))?$|(^|_)permission(_to_(e?mail|contact))?$"
    r"|consenso|toestemming|samtykke|samtycke|(^|_)zgoda(_|$)|autoriza|acepta_|accetta_|accepte_"
    r"|^(suscrito|suscripcion|abonnee?|inscrite?|iscritto|iscrizione|inscrito|ingeschreven|tilmeldt)"
    r"(_(al?_|la_|alla_|voor_)*(newsletter|boletin|nieuwsbrief))?$|^(boletin|nieuwsbrief|nyhedsbrev|nyhetsbrev)$"
)
_MAIL_STATUS: Final = re.compile(
    r"(^|_)(e_?)?(mail|newsletter|subscri(ption|ber)|marketing|opt_?in|consent|mailing|abo)_?(e?mail_?)?status(_|$)"
    r"|(^|_)status_(e?mail|newsletter|subscription|marketing|opt_?in|consent|mailing|abo)(_|$)"
)
_FURTHER: Final = re.compile(
    r"(secondary|second|additional|alternate|alternative|other|further|zweite|weitere|andere|sonstige)_"
    r"e?mails?(_(address(es)?|adressen?))?|e?mail(_(address|adresse))?_[2-9](_(value|address|adresse))?"
)
_REMARK: Final = re.compile(r"\s*[(\[*:].*$")
_UNSURE: Final = 1_000
_HINTS: Final[Mapping[str, frozenset[str]]] = {
    "email": frozenset(("email", "emailadresse", "mail", "mailadresse", "emails")),
    "phone": frozenset(("telefon", "telefonnummer", "phone", "tel", "mobil", "mobile", "handy", "handynummer")),
}
# Words that make a column with the others one about addresses or phones, and none of them.
_OTHER_WORDS: Final = (
    "status type typ label art art_der id count anzahl date datum time zeit sent gesendet opened geoeffnet clicked "
    "domain provider anbieter valid gueltig verified bounce bounced template vorlage subject betreff text body server "
    "client liste list export campaign kampagne owner besitzer betreuer referrer source quelle score country land code "
    "ext extension vorwahl model os device geraet hash key error fehler reason grund preference einwilligung consent "
    "opt in out erlaubt erlaubnis allowed zustimmung werbung marketing sperre gesperrt newsletter sms call ok"
)
_OF_SOMETHING_ELSE: Final = frozenset(_OTHER_WORDS.split())
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_UMLAUTS: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_MOST_SHOWN: Final = 30


def folded(name: str) -> str:
    """Return a column's name in the form in which names are compared: lower case, words joined by underscores."""
    spaced = _CAMEL.sub(" ", unicodedata.normalize("NFC", name).replace("\u00ad", ""))
    plain = unicodedata.normalize("NFKD", spaced.lower().translate(_UMLAUTS)).encode("ascii", "ignore").decode()
    words = re.sub(r"(?<=[a-z])(?=\d)", "_", re.sub(r"[^a-z0-9]+", "_", plain)).strip("_")
    return re.sub(r"(^|_)e_mail", r"\1email", words)


def _joined(name: str) -> str:
    return name.replace("_", "")


_KNOWN: Final[Mapping[str, tuple[str, int]]] = {
    _joined(folded(name)): (field, place)
    for field, names in {**_OTHER_NAMES, **FIELD_NAMES}.items()
    for place, name in enumerate(names.split())
}


def meaning(name: str) -> tuple[str, int] | None:
    """Return the field that a column's name stands for and how far down its names it is, ``None`` for any other.

    What stands in brackets or behind a slash is taken for a remark, and of a path the last name counts. Where nothing
    is known, a word for addresses or phones among others says enough.

    :param name: of the column
    """
    forms = dict.fromkeys((name, _REMARK.sub("", name), _REMARK.sub("", name).split("/")[0], name.split(".")[-1]))
    known = next((found for form in forms if (found := _KNOWN.get(_joined(folded(form))))), None)
    if known is not None or consent_kind(name):
        return known
    words = set(folded(name).split("_"))
    if words & _OF_SOMETHING_ELSE:
        return None
    return next(((field, _UNSURE) for field, hints in _HINTS.items() if words & hints), None)


def is_unsure(found: tuple[str, int]) -> bool:
    """Tell whether a :func:`meaning` is guessed by a word among others."""
    return found[1] == _UNSURE


def is_email(name: str) -> bool:
    """Tell whether a name is one of those that a column of addresses has for sure."""
    found = meaning(name)
    return found is not None and found[0] == "email" and not is_unsure(found)


def consent_kind(name: str) -> str | None:
    """Return whether a column tells who opted ``out``, who opted ``in``, or the ``status`` of mail to them."""
    plain = folded(name)
    if _LINK.search(plain) or (_OTHER_CHANNEL.search(plain) and not _BY_MAIL_TOO.search(plain)):
        return None
    kinds = (("out", _OPTED_OUT), ("status", _MAIL_STATUS), ("in", _OPTED_IN))
    return next((kind for kind, pattern in kinds if pattern.search(plain)), None)


@dataclass(slots=True)
class Columns:
    """What each column of a table is.

    :param names: of the columns, in their order, all different
    :param fields: field of a lead → names of its columns, the first that has a value counts
    :param consent: name of a column that tells of consent → ``out``, ``in`` or ``status``
    :param properties: names of the columns that go to ``properties``
    """

    names: list[str] = field(default_factory=list)
    fields: dict[str, list[str]] = field(default_factory=dict)
    consent: dict[str, str] = field(default_factory=dict)
    properties: list[str] = field(default_factory=list)

    @property
    def further_addresses(self) -> list[str]:
        """Columns that seem to hold other addresses of the same people, and that nothing was made of."""
        return [name for name in self.properties if is_email(name) or _FURTHER.fullmatch(folded(_bare(name)))]

    @property
    def shown(self) -> dict[str, list[str]]:
        """Field of a lead → columns, for people to check."""
        return {**self.fields, **({"opted_out": list(self.consent)} if self.consent else {})}


class ColumnsError(ValueError):
    """Columns can't be told; the message names those that there are, unless they may be somebody's data."""


def chosen(columns: Any) -> dict[str, list[str]]:
    """Return the columns that a user names: field → names, no name for a field that is to be left out.

    :param columns: mapping of field → name, list of names, or ``None``
    :raises ValueError: for what is none, or an unknown field, with the nearest
    """
    if columns is None:
        return {}
    if not isinstance(columns, Mapping):
        raise ValueError("columns must be a mapping of lead field to column name, such as {'email': 'Kontakt-Mail'}")
    wanted: dict[str, list[str]] = {}
    for name, value in columns.items():
        if name not in FIELDS:
            hint = "".join(f"; did you mean {near!r}?" for near in get_close_matches(str(name), FIELDS, n=1))
            raise ValueError(f"columns: a lead has no field {name!r}{hint}. It has {', '.join(FIELDS)}")
        listed = [] if value is None else [value] if isinstance(value, (str, int)) else value
        if not isinstance(listed, Sequence) or not all(isinstance(one, (str, int)) for one in listed):
            raise ValueError(f"columns: {name!r} must be the name of a column, a list of names, or None")
        wanted[name] = [str(one) for one in listed]
    return wanted


def assign(names: Sequence[str], wanted: Mapping[str, Sequence[str]], groups: Sequence[str] = ()) -> Columns:
    """Return what each column is: what the user says first, then by its name.

    :param names: of the columns, all different
    :param wanted: from :func:`chosen`
    :param groups: what stands above each name in a row of headings, where there is one
    :raises ColumnsError: when a column that the user names isn't there
    """
    columns = Columns(list(names))
    taken: set[str] = set()
    for name, listed in wanted.items():
        columns.fields[name] = [_named(one, names, name) for one in listed]
        taken.update(columns.fields[name])
    by_field: dict[str, list[tuple[int, str]]] = {}
    for place, name in enumerate(names):
        if name in taken:
            continue
        heading = groups[place] if place < len(groups) else ""
        known = _known_as(heading, _bare(name))
        if kind := consent_kind(f"{heading} {name}" if heading else name):
            if "opted_out" not in wanted and not (known and kind == "status" and "status" not in wanted):
                columns.consent[name] = kind
            if kind == "out" and "opted_out" not in wanted:
                continue
        if known and known[0] not in wanted:
            by_field.setdefault(known[0], []).append((known[1], name))
    for name, candidates in by_field.items():
        # Of equals the one that stands first.
        best = folded(_bare(min(candidates, key=lambda one: one[0])[1]))
        # A column that stands there twice under one name is one column whose halves fill each other's gaps.
        # That mail came back is told by any column that is about it.
        columns.fields[name] = [one for _, one in candidates if name == "bounced" or folded(_bare(one)) == best]
    _last_name(columns, wanted, taken)
    if "opted_out" in columns.fields:
        columns.consent |= dict.fromkeys(columns.fields.pop("opted_out"), "out")
    mapped = {one for listed in columns.fields.values() for one in listed[:1]} | taken
    whole = {name for name, kind in columns.consent.items() if kind == "out"}
    columns.consent |= {name: "status" for name in columns.fields.get("status", ()) if name not in columns.consent}
    columns.properties = [name for name in names if name not in mapped and name not in whole]
    columns.fields = {name: listed for name, listed in columns.fields.items() if listed}
    return columns


def _known_as(heading: str, name: str) -> tuple[str, int] | None:
    """Return what a column is by its name and what stands above it: what is known for sure comes first."""
    found = [one for one in (meaning(f"{heading} {name}") if heading else None, meaning(name)) if one]
    return min(found, key=lambda one: one[1] == _UNSURE, default=None)


def _last_name(columns: Columns, wanted: Mapping[str, Sequence[str]], taken: set[str]) -> None:
    """Take a column that is called no more than "Name" for the last one where there is one for the first."""
    if "first_name" not in columns.fields or "last_name" in columns.fields or "last_name" in wanted:
        return
    plain = next((name for name in columns.names if folded(name) == "name" and name not in taken), None)
    if plain is not None:
        columns.fields["last_name"] = [plain]


def _named(one: str, names: Sequence[str], field_name: str) -> str:
    if one in names:
        return one
    alike = [name for name in names if folded(name) == folded(one) != ""]
    if len(alike) == 1:
        return alike[0]
    raise ColumnsError(f"has no column {one!r} for {field_name}{nearest_column(one, names)}. {listing(names)}")


def _bare(name: str) -> str:
    return re.sub(r" \(\d+\)$", "", name)


def unique_names(cells: Iterable[str]) -> list[str]:
    """Return names of columns, all different: the second of a name gets a number, one without a name its place."""
    names: list[str] = []
    for place, cell in enumerate(cells, 1):
        name = plain = " ".join(cell.split()) or f"Column {place}"
        number = 1
        while name in names:
            number += 1
            name = f"{plain} ({number})"
        names.append(name)
    return names


def nearest_column(name: str, names: Sequence[str]) -> str:
    """Return the end of a message that names the nearest column, empty when none is near."""
    by_form = {_joined(folded(one)): one for one in names}
    near = get_close_matches(_joined(folded(name)), list(by_form), n=1)
    return "".join(f"; did you mean {by_form[one]!r}?" for one in near)


def listing(names: Sequence[str]) -> str:
    """Return a sentence with the columns that there are."""
    shown = ", ".join(repr(name) for name in names[:_MOST_SHOWN])
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return f"Its columns are {shown}{more}."
