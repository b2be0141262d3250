"""A browser as far as forms, cookies and redirects go: people in the demo meet zerocloud's pages as they are."""

from __future__ import annotations

import urllib.error
import urllib.request
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.client import HTTPMessage
from typing import IO
from urllib.parse import urlencode, urljoin, urlsplit

from demo.processes import Failure

REDIRECTS = 10


@dataclass
class Form:
    """A form with what it would send."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str, str]] = field(default_factory=list)
    """Label, name and value."""


@dataclass(frozen=True)
class Page:
    """What is on the screen."""

    url: str
    text: str
    """Without tags, on one line."""
    forms: tuple[Form, ...]

    def form(self, button: str) -> Form:
        """The form with a button whose label begins so, with what that button adds."""
        for form in self.forms:
            for label, name, value in form.buttons:
                if label.startswith(button):
                    added = {name: value} if name else {}
                    return Form(form.action, {**form.fields, **added})
        raise Failure(f"{self.url} has no button {button!r}: {self.text[:300]}")


class Browser:
    """Keeps cookies, by host and port."""

    def __init__(self) -> None:
        self.cookies: dict[str, dict[str, str]] = {}
        self.opener = urllib.request.build_opener(_Stay())

    def open(self, url: str) -> Page:
        """Reads a page."""
        return self._go(url, None)

    def press(self, page: Page, button: str, **chosen: str) -> Page:
        """Sends the form of that button, with other values where they are given."""
        form = page.form(button)
        body = urlencode({**form.fields, **chosen}).encode()
        return self._go(urljoin(page.url, form.action), body)

    def _go(self, url: str, body: bytes | None) -> Page:
        came_from = url
        for _ in range(REDIRECTS):
            jar = self.cookies.setdefault(urlsplit(url).netloc, {})
            request = urllib.request.Request(url, body)
            if jar:
                request.add_header("Cookie", "; ".join(f"{name}={value}" for name, value in jar.items()))
            if body is not None:
                parts = urlsplit(came_from)
                request.add_header("Origin", f"{parts.scheme}://{parts.netloc}")
            try:
                answer = self.opener.open(request, timeout=30)
            except urllib.error.HTTPError as error:
                raise Failure(f"{url} says {error.code}: {_read(url, error.read().decode()).text[:300]}") from error
            with answer:
                for line in answer.headers.get_all("Set-Cookie", []):
                    name, _, value = line.split(";")[0].partition("=")
                    jar[name] = value
                where = answer.headers.get("Location")
                if where is None:
                    return _read(url, answer.read().decode())
            url, body = urljoin(url, where), None
        raise Failure(f"{url} redirects in a circle")


class _Stay(urllib.request.HTTPRedirectHandler):
    """Redirects come back as answers: their cookies count."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None

    def _answer(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage
    ) -> IO[bytes]:
        return fp

    http_error_301 = http_error_302 = http_error_303 = http_error_307 = http_error_308 = _answer


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.words: list[str] = []
        self.button: tuple[str, str] | None = None
        self.label: list[str] = []
        self.inside = False
        self.select = ""
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(values.get("action", "")))
            self.inside = True
        elif tag == "input" and self.inside and values.get("type") not in ("checkbox", "radio"):
            self.forms[-1].fields[values.get("name", "")] = values.get("value", "")
        elif tag == "select":
            self.select = values.get("name", "")
        elif tag == "option" and self.inside and self.select:
            fields = self.forms[-1].fields
            if "selected" in values or self.select not in fields:
                fields[self.select] = values.get("value", "")
        elif tag == "button":
            self.button = (values.get("name", ""), values.get("value", ""))
            self.label = []
        elif tag in ("style", "script"):
            self.hidden += 1

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.inside = False
        elif tag == "select":
            self.select = ""
        elif tag == "button" and self.button is not None:
            if self.inside:
                self.forms[-1].buttons.append((" ".join(self.label), *self.button))
            self.button = None
        elif tag in ("style", "script"):
            self.hidden -= 1

    def handle_data(self, data: str) -> None:
        words = data.split()
        if not self.hidden:
            self.words += words
        if self.button is not None:
            self.label += words


def _read(url: str, text: str) -> Page:
    reader = _Reader()
    reader.feed(text)
    return Page(url, " ".join(reader.words), tuple(reader.forms))
