"""Words the seeded people are made of; every domain is reserved or invented."""

from __future__ import annotations

FIRST_NAMES = (
    "Anna", "Ben", "Clara", "David", "Elif", "Felix", "Greta", "Hannes", "Ines", "Jonas", "Karla", "Lukas", "Mara",
    "Nils", "Olga", "Paul", "Rosa", "Samir", "Tilda", "Uwe", "Vera", "Willi", "Yara", "Zoë", "José", "Łukasz",
    "Søren", "André", "Chloé", "Jürgen", "Marlene", "Oskar", "Priya", "Quentin", "Renée", "Stefan", "Theo", "Wiebke",
)  # fmt: skip
LAST_NAMES = (
    "Ahrens", "Berger", "Castro", "Dietrich", "Engel", "Fischer", "García", "Hofmann", "Ivanova", "Jansen", "Köhler",
    "Lindqvist", "Müller", "Novak", "Öztürk", "Peters", "Quist", "Richter", "Schäfer", "Tanaka", "Urban", "Vogel",
    "Weiß", "Xu", "Yilmaz", "Ziegler", "Brandt", "Dubois", "Eriksen", "Falk", "Gruber", "Huber", "Iversen", "Keller",
)  # fmt: skip
DOMAINS = (
    "example.com", "example.org", "example.net", "mail.example.com", "sales.example.org", "bücher.example",
    "nordlicht-energie.example", "kaffee-rösterei.example", "solarwerk-sued.de", "talent-kompass.de",
    "hausbau-plus.com", "fitlab-berlin.com", "grünstrom.example", "immo-quartier.example",
)  # fmt: skip
DNC_DOMAINS = ("competitor.example", "do-not-mail.example", "legal-hold.example")
COMPANIES = (
    "Nordlicht Energie GmbH", "Kaffeerösterei Süd", "Solarwerk", "Talent Kompass AG", "Hausbau Plus", "FitLab",
    "Grünstrom eG", "Immo Quartier", "Bücher & Meer", "Praxis Dr. Lindner", "Alpen Logistik", "Werkhof 7",
)  # fmt: skip
TITLES = ("CEO", "Head of Sales", "Marketing Manager", "Founder", "Office Manager", "Recruiter", "Engineer", "Owner")
INDUSTRIES = ("Energy", "Retail", "Construction", "Health", "Real Estate", "Software", "Logistics", "Education")
STREETS = ("Hauptstraße", "Lindenallee", "Am Markt", "Bahnhofstraße", "Gartenweg", "Schulstraße", "Ringstraße")
CITIES = (
    ("Berlin", "BE", "10115"), ("Hamburg", "HH", "20095"), ("München", "BY", "80331"), ("Köln", "NW", "50667"),
    ("Leipzig", "SN", "04109"), ("Bremen", "HB", "28195"), ("Freiburg", "BW", "79098"), ("Kiel", "SH", "24103"),
)  # fmt: skip
INVALID_EMAILS = ("ann@", "not an email", "a@b", "@example.com", "two@@example.com", "gap in@example.com")
SPACES = (" ", "\u00a0", "\t")
