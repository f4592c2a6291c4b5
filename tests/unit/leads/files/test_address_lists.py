"""Lists of addresses as people have them: every entry read, or the file refused with its line; nobody else covered."""

from __future__ import annotations

import csv
import io
import json
import random
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_providers_leads.leads.files.address_lists import AddressListError, is_list_uri, read_addresses, read_list
from airflow_providers_leads.leads.files.list_columns import Role, role_of
from airflow_providers_leads.leads.files.list_entries import addresses_within, entries_in

TWO = ["ann@x.de", "bob@y.de"]


def keys(path: Path) -> list[str]:
    return [("@" if entry.is_domain else "") + entry.key for row in read_list(str(path)) for entry in row.entries]


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


READ: dict[str, tuple[str, str | bytes, list[str]]] = {
    "row 22, wildcards": ("a.txt", "*@x.de\n?@y.de\n%@z.de\n'@v.de\n", ["@x.de", "@y.de", "@z.de", "@v.de"]),
    "row 22, spreadsheets": ("a.csv", "email\n'ann@x.de\n=bob@y.de\n", TWO),
    "row 24, a list in a line": ("a.jsonl", '["ann@x.de", "bob@y.de"]\n', TWO),
    "row 24, objects in a line": ("a.jsonl", '[{"email": "ann@x.de"}, {"email": "bob@y.de"}]\n', TWO),
    "row 24, lists of a key": ("a.jsonl", '{"emails": ["ann@x.de", "bob@y.de"]}\n', TWO),
    "row 24, one key twice": ("a.jsonl", '{"email": "ann@x.de", "email": "bob@y.de"}\n', TWO),
    "row 24, two columns": ("a.csv", "email,email_key\nann@x.de,bob@y.de\n", TWO),
    "row 24, one name in two cases": ("a.csv", "email,Email\nann@x.de,bob@y.de\n", TWO),
    "row 24, no names": ("a.csv", "ann@x.de,bob@y.de\n", TWO),
    "row 25": ("a.csv", "email,result,domain\nann@gmail.com,ok,gmail.com\nb@y.de,,y.de\n", ["ann@gmail.com", "b@y.de"]),
    "row 25, no names": ("a.csv", "ann@gmail.com,ok,gmail.com\nbob@y.de,bad,y.de\n", ["ann@gmail.com", TWO[1]]),
    "row 25, JSON": ("a.jsonl", '{"domain": "gmail.com", "email": "ann@gmail.com"}\n', ["ann@gmail.com"]),
    "row 25, suggestions": ("a.csv", "email,did_you_mean\nann@gmial.com,ann@gmail.com\n", ["ann@gmial.com"]),
    "row 26, sep": ("a.csv", "sep=;\nEmail Address;Reason\nann@x.de;a, b\nbob@y.de;\n", TWO),
    "row 26, sep in quotes": ("a.csv", '"sep=\t"\r\n"E-Mail"\t"x"\r\n"ann@x.de"\t1\r\nbob@y.de\t2\r\n', TWO),
    "row 26, comments": ("a.csv", "# from legal\nemail,why\n#x@z.de,\nann@x.de,#1\nbob@y.de,\n", TWO),
    "row 26, remarks": ("a.txt", "# who\nann@x.de # asked twice\n  # -\nbob@y.de\t#\n", TWO),
    "row 26, mailto": ("a.txt", "mailto:ann@x.de\nMAILTO:bob%40y.de?subject=x\n", TWO),
    "row 26, tsv": ("a.tsv", "Name\tE-Mail-Adresse\nLee, Ann\tann@x.de\nBob\tbob@y.de\n", TWO),
    "pipes": ("a.csv", "name|mail\nA, B; C|ann@x.de\nB|bob@y.de\n", TWO),
    "a comma in a name": ("a.csv", "Name, Vorname;E-Mail\nLee, Ann;ann@x.de\nRay, Bob;bob@y.de\n", TWO),
    "UTF-16": ("a.csv", "E-Mail;Grund\r\nann@x.de;ü\r\nbob@y.de;\r\n".encode("utf-16"), TWO),
    "UTF-16 without a mark": ("a.txt", "ann@x.de\nbob@y.de\n".encode("utf-16-be"), TWO),
    "a NUL of some program": ("a.csv", b"email;why\nann@x.de;\n\0bob@y.de;\0\n", TWO),
    "UTF-8 with a mark": ("a.csv", b"\xef\xbb\xbfemail\nann@x.de\nbob@y.de\n", TWO),
    "Windows": ("a.csv", "E-Mail;Grund\nmüller@x.de;Müßig – “so”\n".encode("cp1252"), ["müller@x.de"]),
    "old Mac": ("a.csv", "email,a\rann@x.de,1\rbob@y.de,2\r", TWO),
    "names with addresses": ("a.txt", 'Lee, Ann <ann@x.de>\n"Ray, Bob" <bob@y.de>\n', TWO),
    "as mail programs list them": ("a.txt", "Lee, Ann <ann@x.de>; Bob Ray <bob@y.de>\n", TWO),
    "commas": ("a.txt", "ann@x.de, bob@y.de\n", TWO),
    "two in a cell": ("a.csv", 'name,emails\nA,"ann@x.de; bob@y.de"\n', TWO),
    "lines in a cell": ("a.csv", 'name,emails\nA,"ann@x.de\nbob@y.de"\n', TWO),
    "a note of several lines": ("a.csv", 'email,note\nann@x.de,"asked\ntwice"\nbob@y.de,\n', TWO),
    "a title": ("a.txt", "E-Mail\nann@x.de\nbob@y.de\n", TWO),
    "a table in .txt": ("a.txt", "Vorname\tE-Mail\nAnn\tann@x.de\nBob\tbob@y.de\n", TWO),
    "one column of another name": ("a.csv", "Blocklist\nann@x.de\nbob@y.de\n", TWO),
    "owners are others": ("a.csv", "email,owner\nann@x.de,rep@ours.de\nbob@y.de,rep@ours.de\n", TWO),
    "the same under another name": ("a.csv", "email,konto\nann@x.de,ANN@x.de\nbob@y.de,\n", TWO),
    "JSON": ("a.json", '["ann@x.de", {"email": "bob@y.de"}]', TWO),
    "JSON of an API": ("a.json", '{"n": 2, "results": [{"email": "ann@x.de"}, {"p": {"email": "bob@y.de"}}]}', TWO),
    "JSON, nicely": ("a.json", json.dumps({"emails": TWO}, indent=2), TWO),
    "JSON in UTF-16": ("a.jsonl", '{"email": "ann@x.de"}\n{"email": "bob@y.de"}\n'.encode("utf-16"), TWO),
    "domains": ("a.csv", "Domain\nx.de\nhttps://www.y.de/\n", ["@x.de", "@y.de"]),
    "nothing": ("a.csv", "\ufeff\r\n\r\n", []),
    "a header alone": ("a.csv", "email;domain\n", []),
    "invisible marks": ("a.txt", "\u202aann@x.de\u202c\n\u200ebob@y.de\n", TWO),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "expected"), READ.values(), ids=READ)
def test_read(tmp_path: Path, name: str, content: str | bytes, expected: list[str]) -> None:
    assert keys(write(tmp_path, name, content)) == expected


REFUSED: dict[str, tuple[str, str | bytes, str]] = {
    "row 22, other wildcards": ("a.txt", "ann@x.de\n*@*.secret.de\n", "line 2"),
    "row 22, part of an address": ("a.csv", "email\nsecret*@x.de\n", "line 2"),
    "row 23": ("a.csv", 'email,note\ncarl@else.de,"secret twice\nann@x.de,\n', "line 2"),
    "row 23, another quote follows": ("a.csv", 'email,note\nc@x.de,"secret twice\nann@x.de,"x"\n', "line 2"),
    "row 23, swallowed in good form": ("a.csv", 'email,note\nd@x.de,\nc@x.de,"secret\nann@x.de,no"\n', "line 3"),
    "row 23, swallowed domains": ("a.csv", 'domain,note\nc.de,"secret\nx.de,no"\ny.de,\n', "line 2"),
    "row 24, a column of unknown name": ("a.csv", "email,zweite\nann@x.de,secret@y.de\n", "line 2: column 2"),
    "row 24, more cells than names": ("a.csv", "email\nann@x.de,secret@y.de\n", "line 2: column 2"),
    "row 24, a list with a hole": ("a.jsonl", '"ann@x.de"\n["bob@y.de", null]\n', "line 2"),
    "row 25, no address": ("a.csv", "email,result,domain\n,bad,gmail.com\n", "line 2: no address"),
    "words": ("a.txt", "ann@x.de\nsecret words\n", "line 2"),
    "an address and words": ("a.txt", "ann@x.de secret\n", "line 1"),
    "numbers": ("a.csv", "email,domain\nann@x.de,x.de\n\n4711secret,\n", "line 4"),
    "a domain without a name": ("a.csv", "ann@x.de,\nsecret.org,rep@y.de\n", "line 2: a domain beside"),
    "dates": ("a.csv", "domain\n12.03.2024\n", "line 2"),
    "an empty cell": ("a.csv", "name,email\nsecret,\n", "line 2"),
    "no column": ("a.csv", "name,secret\nA,B\n", "line 1: none of the columns"),
    "an unknown title": ("a.csv", "Name-secret\nann@x.de\n", "line 1"),
    "a title that is a domain": ("a.csv", "mail.id\nx.de\n", "line 1: could be"),
    "broken JSON": ("a.jsonl", '"ann@x.de"\n{"email": secret}\n', "line 2: no JSON"),
    "JSON on several lines": ("a.jsonl", '{\n"email": "secret@x.de"}\n', "line 1: no JSON"),
    "broken JSON file": ("a.json", '[\n"ann@x.de",\nsecret]', "line 3: no JSON"),
    "no such key": ("a.jsonl", '{"konto":"secret@x.de"}\n', "line 1: column 1"),
    "a number": ("a.jsonl", "4711\n", "line 1"),
    "null": ("a.jsonl", "null\n", "line 1"),
    "an entry of a file": ("a.json", '["ann@x.de", 7]', "entry 2"),
    "part UTF-8": ("a.txt", "müller@x.de\n".encode() + b"j\xfcrgen@secret.de\n", "part UTF-8"),
    "DOS": ("a.txt", b"m\x81ller@secret.de\n", "no encoding"),
    "a spreadsheet": ("list.xlsx", b"secret", "kinds .csv"),
    "compressed": ("list.csv.gz", b"secret", "kinds .csv"),
}


@pytest.mark.parametrize(("name", "content", "said"), REFUSED.values(), ids=REFUSED)
def test_refused_with_the_line_and_without_its_content(
    tmp_path: Path, name: str, content: str | bytes, said: str
) -> None:
    with pytest.raises(AddressListError) as caught:
        keys(write(tmp_path, name, content))
    assert name in str(caught.value)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value).replace(str(tmp_path), "")


def test_a_missing_list(tmp_path: Path) -> None:
    with pytest.raises(AddressListError, match="does not exist"):
        keys(tmp_path / "nowhere.csv")


def test_parquet_with_times_that_python_has_not_and_a_column_twice(tmp_path: Path) -> None:
    columns = [pa.array([2**62], pa.timestamp("us")), pa.array(["ann@x.de"]), pa.array(["bob@x.de"])]
    pq.write_table(pa.table(columns, ["until", "email", "email"]), tmp_path / "a.parquet")
    assert sorted(keys(tmp_path / "a.parquet")) == ["ann@x.de", "bob@x.de"]


def test_parquet(tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {
        "Email": ["ann@x.de", None],
        "others": [None, None],
        "emails": [None, ["bob@y.de"]],
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert keys(tmp_path / "a.parquet") == TWO
    pq.write_table(pa.table({"email": ["ann@x.de", None]}), tmp_path / "a.parquet")
    with pytest.raises(AddressListError, match="row 2"):
        keys(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("entry", "file"),
    [
        ("persistiq_default", False), ("crm.eu", False), ("list.csv", True), ("list.CSV", True), ("a/list", True),
        ("s3://conn@bucket/list.parquet", True), ("file:///tmp/x.jsonl", True), ("x.txt", True), ("x.tsv", True),
        ("x.xlsx", True),
    ],
)  # fmt: skip
def test_files_and_connections_are_told_apart(entry: str, file: bool) -> None:
    assert is_list_uri(entry) is file


@pytest.mark.parametrize("text", ["", " ", "\u200b", "''"])
def test_no_entry(text: str) -> None:
    assert not entries_in(text)


ROLES = {
    Role.ADDRESS: ["E-Mail", "EMAIL", "e_mail", "e.mail", "eMail", "Email Address", "emailAddress", "E-Mail-Adresse",
                   "E-MAIL (GESCHÄFTLICH)", "Work Email", "Email 2", "hs_additional_emails", "email_key", "Mail"],
    Role.DOMAIN: ["domain", "Domain Name", "hs_email_domain", "Domäne", "company-domain"],
    Role.ENTRY: ["Adresse", "Recipient", "Sperrliste", "Opt-out list"],
    Role.OF_OTHERS: ["owner email", "Added by (email)", "Notes", "Grund", "Suggested email", "from e-mail"],
    Role.UNKNOWN: ["", "Name", "email status", "Mail sent", "is free domain", "result", "Vorname", "emailing"],
}  # fmt: skip


@pytest.mark.parametrize(("role", "name"), [(role, name) for role, names in ROLES.items() for name in names])
def test_names_of_columns(role: Role, name: str) -> None:
    assert role_of(name) is role


# As people have them -------------------------------------------------------------------------------------------------

LOCALS = ["ann", "bob.ray", "o'neil", "müller", "x+news", "a_b-c", "İbrahim", "info", "NO.REPLY", "li42", "d&d"]
HOSTS = ["x.de", "Bücher.de", "mail.example.co.uk", "gmail.com", "T-Online.de", "xn--bcher-kva.de"]
WORDS = [
    "",
    "asked twice",
    "per Mail, 3.4.",
    "said “no”",
    'a "quote"',
    "Müßig",
    "a;b",
    "tel: 030 1",
    "x\ty",
    "#1",
    "it's",
]
WRAPS = ["{}", " {} ", "'{}", "={}", "<{}>", "mailto:{}", "Ann Lee <{}>", "\u200e{}\u200b", "{}\u00a0", '="{}"']
HEADS = ["email", "E-Mail", "Email Address", "E-Mail-Adresse", "mail", "EMAIL_ADDRESS", "emailAddress"]


class Made(NamedTuple):
    name: str
    content: bytes
    named: set[str]
    """Addresses, and domains with an @ before them."""
    others: set[str]
    """Addresses that stand in the file and mean nobody."""


def _address(rng: random.Random) -> str:
    return f"{rng.choice(LOCALS)}{rng.randrange(40)}@{rng.choice(HOSTS)}"


def make(seed: int) -> Made:
    """Return a file as people have them, with the truth."""
    rng = random.Random(seed)
    people = [_address(rng) for _ in range(rng.randrange(1, 9))]
    domains = [rng.choice(["blocked.org", "Straße.example", "b.co"]) for _ in range(rng.choice([0, 0, 1, 2]))]
    forms = ["{}", "@{}", "*@{}", "?@{}", "'@{}"]
    kind = rng.choice(["txt", "csv", "csv", "csv", "tsv", "jsonl", "json"])
    entries = [(person, rng.choice(WRAPS).format(person)) for person in people]
    entries += [(f"@{domain}", rng.choice(forms).format(domain)) for domain in domains]
    rng.shuffle(entries)
    named, others = {entry for entry, _ in entries}, set()
    encoding = rng.choice(["utf-8", "utf-8-sig", "utf-16", "cp1252"])
    end = rng.choice(["\n", "\r\n", "\r"])
    if kind in ("jsonl", "json"):
        key = rng.choice(HEADS)
        values: list[Any] = [
            {key: text, "n": rng.choice([1, None, "x"])} if rng.random() < 0.5 else text for _, text in entries
        ]
        if rng.random() < 0.3:
            values = [values]
        if kind == "json":
            text = json.dumps(rng.choice([values, {"items": values}]), ensure_ascii=rng.random() < 0.5)
        else:
            text = "".join(json.dumps(value, ensure_ascii=rng.random() < 0.5) + "\n" for value in values)
    elif kind == "txt":
        lines = [text for _, text in entries]
        lines[rng.randrange(len(lines) + 1) :][:0] = [rng.choice(["", "# a comment, “so”"])]
        text = end.join(lines) + rng.choice(["", end, end * 3])
    else:
        delimiter = "\t" if kind == "tsv" else rng.choice(",;\t|")
        out = io.StringIO()
        quoting = rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
        table = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting)
        header = rng.random() < 0.7
        more = rng.choice([[], ["Grund"], ["result", "domain"], ["Name", "owner"]])
        if rng.random() < 0.3:
            out.write(f"sep={delimiter}{end}")
        if header:
            table.writerow([rng.choice(HEADS), *more])
        for entry, cell in entries:
            row = [cell]
            for column in more:
                if column == "domain":
                    row.append("" if entry.startswith("@") else entry.rpartition("@")[2])
                elif column == "owner":
                    row.append("rep@ours.example")
                    (others if header else named).add("rep@ours.example")
                else:
                    row.append(rng.choice(WORDS))
            table.writerow(row)
        text = out.getvalue()
    try:
        content = text.encode(encoding)
    except UnicodeEncodeError:
        content = text.encode("utf-8-sig")
    return Made(f"list.{kind}", content, named, others)


def as_key(entry: str) -> str:
    found = entries_in(entry)
    assert found is not None
    return ("@" if found[0].is_domain else "") + found[0].key


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 10**9))
def test_rows_22_to_26_all_that_a_file_names_and_nobody_else(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    made = make(seed)
    path = write(tmp_path_factory.getbasetemp(), made.name, made.content)
    try:
        read = set(keys(path))
    except AddressListError as error:
        assert any(unit in str(error) for unit in (", line ", ", entry "))
        return
    assert read == {as_key(entry) for entry in made.named}


def test_most_of_these_files_are_read(tmp_path: Path) -> None:
    refused = 0
    for seed in range(400):
        made = make(seed)
        try:
            keys(write(tmp_path, made.name, made.content))
        except AddressListError:
            refused += 1
    assert refused <= 40


def test_erasing_takes_no_domain_and_no_stranger(tmp_path: Path) -> None:
    for seed in range(300):
        made = make(seed)
        try:
            read = read_addresses("email_keys", str(write(tmp_path, made.name, made.content)))
        except AddressListError:
            continue
        assert {as_key(address) for address in read} == {as_key(entry) for entry in made.named} - {"rep@ours.example"}


@pytest.mark.parametrize(
    ("text", "people"),
    [
        ("ann@x.de, bob@y.de", TWO), ("ann@x.de;bob@y.de", TWO), ("ann@x.de und bob@y.de", TWO),
        ("ann@x.de/bob@y.de", TWO), ("ann@x.de\nbob@y.de", TWO), ("E-Mail: ann@x.de", TWO[:1]), ("'ann@x.de'", TWO[:1]),
        ("mailto:ann@x.de?subject=hi", TWO[:1]), ("ann @x.de", TWO[:1]), ("ann@x,de", TWO[:1]), ("ann@@x.de", TWO[:1]),
        ("ann(at)x.de", TWO[:1]), ("ann [AT] x.de", TWO[:1]), ("ann@x.de (private)", TWO[:1]), ("ann@x.de.", TWO[:1]),
        ("n/a", []), ("x.de", []), ("none@none", []), ("@", []), ("", []),
    ],
)  # fmt: skip
def test_addresses_of_who_objected_are_found_however_they_stand_there(text: str, people: list[str]) -> None:
    assert addresses_within(text) == set(people)
