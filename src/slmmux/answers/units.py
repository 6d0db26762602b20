r"""Units at the end of a quantity: `5 km`, `15 \text{ cm}^2`, `30^\circ`, `18 dollars`."""

import re

_NAMES = {
    "km": "kilometer kilometers kilometre kilometres kms", "m": "meter meters metre metres",
    "cm": "centimeter centimeters centimetre centimetres cms",
    "mm": "millimeter millimeters millimetre millimetres", "nm": "nanometer nanometers",
    "in": "inch inches", "ft": "foot feet", "yd": "yard yards", "mi": "mile miles",
    "acre": "acres", "ha": "hectare hectares",
    "kg": "kilogram kilograms kgs", "g": "gram grams", "mg": "milligram milligrams",
    "lb": "lbs pound pounds", "oz": "ounce ounces", "ton": "tons tonne tonnes",
    "l": "L liter liters litre litres", "ml": "mL milliliter milliliters millilitre",
    "gal": "gallon gallons", "qt": "quart quarts", "pt": "pint pints", "cup": "cups",
    "s": "sec secs second seconds", "ms": "millisecond milliseconds", "min": "mins minute minutes",
    "h": "hr hrs hour hours", "day": "days", "week": "weeks", "month": "months",
    "year": "years yr yrs", "deg": "degree degrees \\degree", "rad": "radian radians",
    "degC": "celsius", "degF": "fahrenheit", "K": "kelvin kelvins",
    "mph": "", "kph": "kmh", "Hz": "hertz", "N": "newton newtons", "J": "joule joules",
    "kJ": "", "W": "watt watts", "kW": "kilowatt kilowatts", "V": "volt volts",
    "A": "amp amps ampere amperes",
    "Pa": "pascal pascals", "kPa": "", "mol": "mole moles", "cal": "calorie calories", "kcal": "",
    "cent": "cents ¢", "eur": "euro euros €", "gbp": "£", "jpy": "yen ¥",
    "inr": "rupee rupees ₹", "cad": "", "aud": "", "chf": "", "cny": "yuan",
    "pln": "", "sek": "", "nok": "", "dkk": "", "krw": "", "mxn": "", "brl": "", "zar": "",
    "sgd": "", "bit": "bits", "byte": "bytes", "dozen": "dozens",
}  # fmt: skip
_UNITS = {name: unit for unit, names in _NAMES.items() for name in (unit, *names.split())}
# A lone letter is a variable unless a space sets it apart: `5m` is algebra, `5 m` is a length.
_LETTERS = frozenset("mglsh")
_POWERS = {
    "square": "^2",
    "sq": "^2",
    "cubic": "^3",
    "cu": "^3",
    "squared": "^2",
    "cubed": "^3",
}

_QUANTITY = re.compile(
    r"(?P<number>.*[\d)}%!]|.*\\(?:pi|infty)(?![a-zA-Z]))(?P<gap>\s*)"
    r"(?P<unit>\\text\{[^{}]*\}|\\degree|(?:/\s?[a-zA-Z](?=[a-zA-Z])|[a-zA-Z¢€£¥₹])[a-zA-Z .¢€£/]*)"
    r"\s*(?:\^\{?(?P<power>[23])\}?)?",
    re.DOTALL,
)
_PREFIXED = re.compile(
    r"(?P<sign>-?)\s*(?P<unit>[€£¥₹]|US\$?|USD|EUR|GBP|JPY|INR|Rs\.?)\s*(?P<number>[\d.,]+)"
)
_CURRENCIES = {"€": "eur", "EUR": "eur", "£": "gbp", "GBP": "gbp", "¥": "jpy", "JPY": "jpy",
               "₹": "inr", "INR": "inr", "Rs": "inr", "Rs.": "inr"}  # fmt: skip
_SCALE = re.compile(r"\s*\\degree\s*([CF])(?![a-zA-Z])")
# Dollars go without a name, other currencies' codes are their units.
_DOLLARS = frozenset(("USD", "usd", "US$"))
# A word, and not a product of variables: four letters, or three like “men”.
_WORD = re.compile(r"[a-zA-Z]{4}|[b-df-hj-np-tv-z][aeiou][a-z](?![a-z])")


def unit_name(word: str) -> str | None:
    """The one name of a unit: `hrs` is `h`; None for what is no unit."""
    return _UNITS.get(word) or _UNITS.get(word.lower())


def split_unit(text: str) -> tuple[str, str]:
    """A quantity as number and canonical unit; the unit is empty where there is none.

    Unit names have one spelling, values are not converted: 1 m and 100 cm stay two classes.
    Dollars, and words that are no units (`12 apples`), count nothing and are dropped.
    """
    if prefixed := _PREFIXED.fullmatch(text):
        return prefixed["sign"] + prefixed["number"], _CURRENCIES.get(prefixed["unit"], "")
    match = _QUANTITY.fullmatch(_SCALE.sub(r" deg\1", text) if "\\degree" in text else text)
    if match is None:
        return text, ""
    marked = match["unit"].startswith("\\text")
    written = match["unit"][6:-1] if marked else match["unit"]
    words = written.strip().strip(".").split()
    if not words:
        return text, ""
    if (
        not marked
        and len(words[0]) == 1
        and words[0].isascii()
        and not (match["gap"] and _LETTERS.issuperset(words[0]))
    ):
        return text, ""
    unit = None if words[0] in _DOLLARS else _canonical(words)
    if unit is None:
        counted = marked or words[0] in _DOLLARS or (match["gap"] and _WORD.match(words[0]))
        return (match["number"].strip(), "") if counted and not match["power"] else (text, "")
    return match["number"].strip(), unit + (f"^{match['power']}" if match["power"] else "")


def _canonical(words: list[str]) -> str | None:
    """`square centimeters` as `cm^2`, `miles per hour` as `mph`; None for words of no unit."""
    parts, power = [], ""
    for word in " ".join(words).replace("/", " per ").split():
        lowered = word.lower().rstrip(".")
        if lowered in _POWERS:
            power += _POWERS[lowered]
        elif lowered == "per":
            parts.append("/")
        elif unit := unit_name(word.rstrip(".")):
            parts.append(unit)
        else:
            return None
    joined = "".join(parts).replace("mi/h", "mph").replace("km/h", "kph")
    return joined + power if joined.strip("/") else None
