# -*- test-case-name: tests.web.test_landing -*-
"""
The page that people see who open the relay's address in a browser.

Self-contained: one file, no external resources, a light and a dark face.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from typing import Any

from nostrtx.settings.tree import Settings
from nostrtx.web.limits_in_words import limits_in_words

_STYLE = """
:root{color-scheme:light dark;--ink:#1d1b26;--soft:#5d5870;--paper:#f6f4fb;
--card:#fff;--line:#e3deef;--mark:#6a2fd0}
@media(prefers-color-scheme:dark){:root{--ink:#efecf8;--soft:#aba4c0;
--paper:#14121b;--card:#1e1b28;--line:#332e44;--mark:#b794ff}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:1rem/1.55 system-ui,sans-serif}
main{max-width:44rem;margin:0 auto;padding:clamp(1.5rem,6vw,4rem) 1.1rem 2rem}
h1{font-size:clamp(1.8rem,7vw,2.7rem);line-height:1.15;margin:0 0 .4rem;
overflow-wrap:anywhere}
h2{font-size:.85rem;letter-spacing:.06em;text-transform:uppercase;
color:var(--soft);margin:2.2rem 0 .7rem}
p{margin:.4rem 0;overflow-wrap:anywhere}
a{color:var(--mark)}
.lead{color:var(--soft);font-size:1.1rem;white-space:pre-line}
.card{background:var(--card);border:1px solid var(--line);border-radius:.9rem}
.address{display:flex;flex-wrap:wrap;gap:.6rem;align-items:center;
padding:.7rem .7rem .7rem 1rem;margin-top:1.5rem}
code{flex:1 1 12rem;font:1rem ui-monospace,monospace;overflow-wrap:anywhere}
button{font:inherit;font-weight:600;color:var(--card);background:var(--mark);
border:0;border-radius:.6rem;padding:.55rem 1.1rem;min-height:2.75rem;
cursor:pointer}
:focus-visible{outline:3px solid var(--mark);outline-offset:2px}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(6.5rem,1fr));
gap:.8rem;margin:0}
.facts div{padding:.8rem 1rem;display:flex;flex-direction:column-reverse;
justify-content:flex-end}
.facts dd{margin:0;font-size:1.7rem;font-weight:650;
font-variant-numeric:tabular-nums}
.facts dt{color:var(--soft);font-size:.9rem}
.nips{list-style:none;display:flex;flex-wrap:wrap;gap:.45rem;padding:0;margin:0}
.nips a{display:block;padding:.3rem .7rem;text-decoration:none;min-width:2.75rem;
text-align:center}
.limits{margin:0;padding:.3rem 1rem}
.limits div{display:flex;justify-content:space-between;gap:1rem;padding:.5rem 0;
border-top:1px solid var(--line)}
.limits div:first-child{border:0}
.limits dt{color:var(--soft)}
.limits dd{margin:0;text-align:right}
footer{color:var(--soft);font-size:.9rem;margin-top:2.5rem}
""".strip()

_SCRIPT = """
const url=document.getElementById("url");
if(!url.dataset.said)url.textContent=
location.protocol.replace("http","ws")+"//"+location.host+"/";
const copy=document.getElementById("copy");
copy.hidden=false;
copy.addEventListener("click",async()=>{
try{await navigator.clipboard.writeText(url.textContent);
copy.textContent="Copied"}catch{
getSelection().selectAllChildren(url);copy.textContent="Selected"}
setTimeout(()=>{copy.textContent="Copy"},2000)});
""".strip()


def _hash_of(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


#: Lets the page use its own style and script and nothing else.
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src {_hash_of(_STYLE)}; "
    f"script-src {_hash_of(_SCRIPT)}; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class LandingPage:
    """
    The page of one relay.

    Args:
        information: The relay information document.
        settings: What it enforces, and the URL to connect to.
    """

    def __init__(self, information: Mapping[str, Any], settings: Settings) -> None:
        self._url = settings.relay.url
        name = escape(information.get("name") or "A Nostr relay")
        description = escape(
            information.get("description")
            or "A Nostr relay. Add its address to your client to use it."
        )
        self._head = (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f'<title>{name}</title><meta name="description" content="{description}">'
            '<link rel="icon" href="data:,">'
            f"<style>{_STYLE}</style></head><body><main>"
            f'<header><h1>{name}</h1><p class="lead">{description}</p></header>'
        )
        nips = "".join(
            '<li><a class="card" href="https://github.com/nostr-protocol/nips/blob/'
            f'master/{nip:02}.md">{nip}</a></li>'
            for nip in information["supported_nips"]
        )
        limits = "".join(
            f"<div><dt>{escape(what)}</dt><dd>{escape(much)}</dd></div>"
            for what, much in limits_in_words(settings)
        )
        self._tail = (
            f'<h2>Supported NIPs</h2><ul class="nips">{nips}</ul>'
            f'<h2>Limits</h2><dl class="limits card">{limits}</dl>'
            f"<footer>{self._footer(information)}</footer></main>"
            f"<script>{_SCRIPT}</script></body></html>\n"
        )

    @staticmethod
    def _footer(information: Mapping[str, Any]) -> str:
        software = escape(information["software"])
        parts = [
            f'<a href="{software}">nostrtx</a> {escape(information["version"])}',
        ]
        contact = information.get("contact")
        if contact:
            parts.append(f"Contact: {_link(contact)}")
        terms = information.get("terms_of_service")
        if terms:
            parts.append(f"Terms: {_link(terms)}")
        return "".join(f"<p>{part}</p>" for part in parts)

    def html(self, facts: Mapping[str, int], host: str) -> str:
        """
        The page as of now.

        Args:
            facts: ``sessions``, ``events_stored``, ``events_received``; what is
                missing is not shown.
            host: The request's ``Host``, for the URL if the settings have none.
        """
        url = self._url or f"ws://{host}/"
        said = ' data-said="1"' if self._url else ""
        numbers = "".join(
            f'<div class="card"><dt>{label}</dt><dd>{facts[name]:,}</dd></div>'
            for label, name in (
                ("Connected now", "sessions"),
                ("Events stored", "events_stored"),
                ("Events received", "events_received"),
            )
            if name in facts
        )
        return (
            f'{self._head}<div class="address card">'
            f'<code id="url"{said}>{escape(url)}</code>'
            '<button id="copy" type="button" aria-live="polite" hidden>Copy</button>'
            f'</div><h2>Since the start</h2><dl class="facts">{numbers}</dl>'
            f"{self._tail}"
        )


def _link(address: str) -> str:
    text = escape(address.removeprefix("mailto:"))
    if address.lower().startswith(("https://", "http://", "mailto:")):
        return f'<a href="{escape(address)}">{text}</a>'
    return text
