r"""The texts in which a secret is recognised, as patterns.

Each takes linear time for any text. For that:

- a repetition is possessive (``++``, ``*+``) or bounded, and does not begin inside a run of what it repeats;
- a quoted value that is never closed ends with the text, so that no later match reads the same text again.

Case is ignored in ASCII only, as in the needles.
"""

import re
from collections.abc import Callable
from functools import cached_property
from typing import Final

REDACTED: Final = "[redacted]"

# A name that is followed by its value, anywhere in a word: dbPassword=, CLIENT_SECRET:, x-api-key: .
_KEYS: Final = (
    # The first letters of all: most places of a text are left after one comparison.
    r"(?=[acejopstx])(?:passw(?:or)?d|passphrase|passcode|secret|credentials?|connection[_-]?string"
    r"|(?:api|access|secret|private|signing|encryption|account|auth)[_-]?key|x-amz-(?:signature|credential)"
    r"|token|(?<![a-z])(?:pwd|pass|jwt|otp|cvv2?|cvc2?|ssn))"
    r"(?:[_-]?(?:hash|base|value|confirmation))?+"
)
# A quote in JSON inside of JSON (\", \\\"), in JSON that escapes it (\u0022), in HTML and in a URL.
_ESCAPED_QUOTE: Final = r"(?:\\++(?:[\"']|u002[27])|&(?:quot|\#3[49]|apos);|%2[27])"
_QUOTE: Final = rf"(?:[\"']|{_ESCAPED_QUOTE})"
# The letters stand before a literal of Python: b'…'.
_LITERAL: Final = r"(?:[bruf]{1,2}(?=[\"']))?+"
_IS: Final = rf"{_QUOTE}?+\s*+(?>=>|:=|[:=]|%3[ad])\s*+{_LITERAL}"
_DONE: Final = r"(?!\[redacted\])"
# A quoted value without its quotes. In escaped quotes it ends at a quote that is escaped as often.
_QUOTED: Final = (
    rf"(?:(?P<plain>[\"']){_DONE}(?:\\.|(?!(?P=plain)).)++"
    rf"|(?P<escaped>{_ESCAPED_QUOTE}){_DONE}(?:(?!(?<!\\)(?P=escaped)).)++)"
)
# Up to the end of a word. A backslash belongs to it unless it escapes a quote; a bracket and < if the word goes on.
_WORD: Final = (
    rf"(?!{_ESCAPED_QUOTE}?\[redacted\])(?:[^\s\x00\"',;&)}}\]\\<]|\\++(?![\"'\\]|u002[27])|[)}}\]](?=[\w!@#$%^*+])|<(?!/)"
    r"|&(?=[^\s&=;\"']*+(?:\s|\Z)))++"
)
_VALUE: Final = rf"(?:{_QUOTED}|{_WORD})"
# Words after an option in a sentence about it.
_PROSE: Final = (
    r"(?!(?:is|are|was|were|must|may|should|can|cannot|or|and|to|for|in|if|not|option|flag|argument|parameter|has|with"
    r"|from|needs?|requires?|expects?|given|missing|instead|as|on|at|by|the|a)\b)"
)


class Shape:
    """``pattern`` is tried on a text that contains one of ``needles`` in lower case."""

    def __init__(
        self, needles: tuple[str, ...], pattern: str, flags: re.RegexFlag, replace: Callable[[re.Match[str]], str]
    ) -> None:
        self.needles = needles
        self.replace = replace
        self._pattern = pattern
        self._flags = flags

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Compiled when it is first needed: to compile all takes longer than the rest of the import."""
        return re.compile(self._pattern, self._flags)


def _keep_start(found: re.Match[str]) -> str:
    """Group 1 stays, with the quote that opens the value; the one that closes it is not part of the match."""
    groups = found.groupdict()
    return found[1] + (groups.get("plain") or groups.get("escaped") or "") + REDACTED


def _hide(_found: re.Match[str]) -> str:
    return REDACTED


def _hide_card(found: re.Match[str]) -> str:
    digits = [int(character) for character in found[0] if character.isdigit()]
    doubled = sum(digits[-1::-2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return found[0] if doubled % 10 else REDACTED


def _after(needles: tuple[str, ...], pattern: str) -> Shape:
    """What follows group 1 is the secret."""
    return Shape(needles, pattern, re.IGNORECASE | re.ASCII | re.DOTALL, _keep_start)


def _whole(needles: tuple[str, ...], pattern: str) -> Shape:
    """All of the match is the secret; its case is part of its form."""
    return Shape(needles, pattern, re.ASCII | re.DOTALL, _hide)


_KEYED: Final = (
    "pass",
    "pwd",
    "secret",
    "credential",
    "connection",
    "token",
    "key",
    "x-amz-",
    "jwt",
    "otp",
    "cv",
    "ssn",
)
SHAPES: Final[tuple[Shape, ...]] = (
    # "authorization": "Digest …", ('Authorization', 'Basic …'), Authorization: Basic …
    _after(("authorization",), rf"(authorization(?:{_IS}|{_QUOTE}\s{{0,4}},\s{{0,4}}{_LITERAL})){_QUOTED}"),
    _after(("authorization",), rf"(authorization{_IS}digest\s++){_DONE}[^\r\n]++"),
    _after(("authorization",), rf"(authorization{_IS}(?:[a-z]++\s++)?+){_WORD}"),
    # Cookie: a=b; c=d
    _after(
        ("cookie",),
        rf"(cookie2?(?:{_IS}|{_QUOTE}\s{{0,4}},\s{{0,4}}{_LITERAL}(?={_QUOTE}))){_VALUE}(?:;\s?[^\s\x00\"',;\\]++)*+",
    ),
    _after(("bearer",), r"(bearer\s++)(?=[^\s\"',;]*[\d.]|[^\s\"',;]{16})[\w.~+/=-]{8,}+"),
    # password=…, "api_key": "…", {\"token\": \"…\"}, PGPASSWORD='…', 'secret' => '…'
    _after(_KEYED, rf"({_KEYS}{_IS}){_VALUE}"),
    # <password>…</password>
    _after(_KEYED, rf"(<[\w:.-]{{0,32}}{_KEYS}\s{{0,4}}>){_DONE}[^<]++"),
    # --password …, ["--token", "…"]
    _after(
        _KEYED,
        rf"((?<![\w-])--?(?:[a-z0-9]{{1,20}}[_-]){{0,4}}{_KEYS}"
        rf"(?:{_QUOTE}\s{{0,4}},\s{{0,4}}(?={_QUOTE})|[ \t]++(?!-){_PROSE})){_VALUE}",
    ),
    # Options that are a password for these programs only.
    _after(
        ("mysql", "mariadb"),
        rf"((?<![\w-])(?:mysql|mariadb)[\w-]{{0,20}}\s[^\n|;&]{{0,60}}?(?<=\s)-p){_DONE}[^\s\"']++",
    ),
    _after(("sshpass",), rf"(sshpass\s{{1,4}}-p\s{{0,4}}){_VALUE}"),
    _after(("redis-cli",), rf"(redis-cli\s[^\n|;&]{{0,60}}?(?<=\s)-a\s{{1,4}}){_VALUE}"),
    _after(("login",), rf"((?<![\w-])login\s[^\n|;&]{{0,60}}?(?<=\s)-p\s{{1,4}}){_VALUE}"),
    _after(
        ("curl", "wget"),
        r"((?<![\w-])(?:curl|wget)\s[^\n|;&]{0,60}?(?<=\s)(?:-u|--user)[\s=]{0,4}[\"']?[^\s:\"']{1,32}:)"
        rf"{_DONE}[^\s\"']++",
    ),
    # ALTER ROLE x PASSWORD '…', IDENTIFIED BY '…', PASSWORD $$…$$
    _after(
        ("passw", "identified"),
        r"((?<![a-z])(?:passw(?:or)?d\s++|identified\s{1,4}(?:with\s{1,4}\w{1,64}\s{1,4})?(?:by|as)\s{1,4}"
        rf"(?:password\s{{1,4}})?)(?:(?:e|n|u&)?'{_DONE}(?=[^'])|\$\w{{0,20}}\${_DONE}(?=[^$])))"
        r"(?:(?<=')(?:[^'\\]|''|\\.)*+|[^$]++)",
    ),
    # ?sig=…, &key=…
    _after(("sig",), rf"([?&;](?:sig|signature|x-goog-signature)=){_DONE}[^\s&\"'<>\\]++"),
    _after(
        ("key=", "auth=", "code=", "sid=", "session"),
        rf"([?&;](?:key|auth|code|sid|session(?:_?id)?)=){_DONE}(?=[\w%.~+/=-]{{16}})[^\s&\"'<>\\]++",
    ),
    # postgresql://user:…@host, https://…@host
    _after(("://",), rf"(://[^\s/:@\"'<>]*+:){_DONE}[^\s/\"'<>]+(?=@)"),
    _after(("://",), r"(://)(?=[\w.~%-]{20})(?=[a-z_.~%-]*+\d)[\w.~%-]++(?=@)"),
    _whole(("eyj",), r"(?<![\w-])eyJ[\w-]{8,}+\.[\w-]{8,}+\.[\w-]*+"),
    _whole(("akia", "asia"), r"(?<![0-9A-Za-z])(?:AKIA|ASIA)[0-9A-Z]{16}(?![0-9A-Za-z])"),
    _whole(("gh", "github_pat_"), r"(?<![\w-])(?:gh[pousr]_[0-9A-Za-z]{36,}+|github_pat_\w{22,}+)"),
    _whole(
        ("glpat-", "npm_", "pypi-", "hf_", "otg_"),
        r"(?<![\w-])(?:glpat-[\w-]{20,}+|npm_[0-9A-Za-z]{36}|pypi-[\w-]{16,}+|hf_[0-9A-Za-z]{30,}+|otg_[\w-]{40,}+)",
    ),
    _whole(("aiza", "sg."), r"(?<![\w-])(?:AIza[\w-]{35}|SG\.[\w-]{16,32}\.[\w-]{32,64})"),
    _whole(
        ("sk-", "sk_", "rk_", "xox", "xapp-"),
        r"(?<![\w-])(?:[sr]k[-_][\w-]{20,}+|(?:xox[abeprs]|xapp)-[\w-]{10,}+)",
    ),
    _whole(
        ("private key",),
        r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY(?: BLOCK)?-----.*?"
        r"(?:-----END [A-Z ]{0,32}PRIVATE KEY(?: BLOCK)?-----|\Z)",
    ),
)

# Visa, Mastercard, American Express, Discover, JCB and Diners Club, unformatted or grouped as on the card.
CARD: Final = Shape(
    (),
    r"(?<![\w.-])(?:"
    r"(?:4\d{3}|5[1-5]\d{2}|2[2-7]\d{2}|6011|64[4-9]\d|65\d{2}|35[2-8]\d)(?P<gap>[ -]?)\d{4}(?:(?P=gap)\d{4}){2}"
    r"|3[47]\d{2}(?P<amex>[ -]?)\d{6}(?P=amex)\d{5}|3(?:0[0-5]|[68]\d)\d{11}|4\d{12}|4\d{18}"
    r")(?![\w-])",
    re.ASCII,
    _hide_card,
)
CARD_START: Final = re.compile(r"[2-6]\d{3}[ -]?\d{4}", re.ASCII)
