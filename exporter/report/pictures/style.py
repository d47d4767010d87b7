"""The style sheet of pictures and legends, made from the palette. Pure."""

from typing import Final

from exporter.report.palette import DARK, LIGHT, LOOKS, Ground, Look, Shade, Texture


def picture_style() -> str:
    """CSS for a page that holds pictures: their colours on light and dark ground, in print and in forced colours.

    The custom properties `--paper`, `--ink`, `--faint`, `--line`, `--edge` and `--focus` are for the rest of the page.
    """
    light, dark = _properties(LIGHT, dark=False), _properties(DARK, dark=True)
    rules = "\n".join(rule for look in LOOKS for rule in _rules(look))
    return (
        f":root {{ color-scheme: light dark; {light} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
        f"{_FIXED}{rules}\n{_LAST}"
    )


def _properties(ground: Ground, *, dark: bool) -> str:
    pairs = [
        ("paper", ground.paper),
        ("ink", ground.ink),
        ("faint", ground.faint),
        ("line", ground.line),
        ("edge", ground.edge),
        ("focus", ground.focus),
    ]
    for look in LOOKS:
        shade: Shade = look.dark if dark else look.light
        pairs += [(look.slug, shade.fill), (f"{look.slug}-ink", shade.ink)]
        if shade.mark:
            pairs.append((f"{look.slug}-mark", shade.mark))
    return " ".join(f"--{name}: {colour};" for name, colour in pairs)


def _rules(look: Look) -> list[str]:
    rules = [
        f".picture .{look.slug} {{ fill: var(--{look.slug}); }}",
        f".picture .{look.slug}-ink {{ fill: var(--{look.slug}-ink); }}",
    ]
    if look.texture is Texture.PLAIN:
        return rules
    # Text on a texture stands on a seam of the ground.
    halo = f".picture .{look.slug}-ink {{ stroke: var(--{look.slug}); }}"
    return [*rules, f".picture .{look.slug}-mark {{ stroke: var(--{look.slug}-mark); }}", halo]


_FIXED: Final = """\
.picture { display: block; width: 100%; height: auto; font: 12px system-ui, sans-serif; }
.panel { display: grid; grid-template-columns: minmax(0, 1fr); }
.panel > .picture { grid-area: 1 / 1; align-self: start; }
.panel > .names { position: sticky; left: 0; width: 15%; overflow: visible; }
.names rect { fill: var(--paper); }
.picture text { font-variant-numeric: tabular-nums; }
.picture text { fill: var(--ink); unicode-bidi: plaintext; pointer-events: none; }
.picture .axis text { fill: var(--faint); font-size: 11px; }
.picture .grid { stroke: var(--line); fill: none; }
.picture .outline { stroke: var(--edge); fill: none; pointer-events: none; }
.picture .doubt { stroke: var(--ink); stroke-width: 2; pointer-events: none; }
.picture .mark { fill: var(--ink); }
.picture .texture { stroke-width: 2; fill: none; pointer-events: none; }
.picture .bridged-mark { stroke: var(--paper); }
.picture .absent-mark { stroke-dasharray: 2 3; }
.picture .word { font-size: 11px; }
.picture .on-texture { paint-order: stroke; stroke-width: 5px; stroke-linejoin: round; }
.picture .bar:focus { outline: none; }
.picture .bar:focus > rect, .picture .bar:focus > g { outline: 3px solid var(--focus); outline-offset: 1px; }
.picture .tip { display: none; x: 0; width: 1000px; height: 22px; overflow: visible; pointer-events: none; }
.picture .bar:focus .tip { display: block; }
.tip div { margin: 0; color: var(--ink); font-variant-numeric: tabular-nums; text-rendering: geometricPrecision; }
.tip div { white-space: nowrap; line-height: 0; text-align: left; unicode-bidi: plaintext; }
.tip div::before { content: ""; display: inline-block; height: 14px; }
.picture .columns rect { shape-rendering: crispEdges; }
.picture .between { stroke: var(--paper); fill: none; pointer-events: none; }
.picture .hint { fill: var(--faint); font-size: 11px; }
.picture:focus-within .hint { visibility: hidden; }
.legend { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; margin: 0.75rem 0; padding: 0; list-style: none; }
.legend li { display: flex; align-items: center; gap: 0.4rem; }
.legend .picture { display: inline-block; width: 1.75rem; height: 1rem; }
.no-picture { border-left: 0.3rem solid var(--edge); padding: 0.25rem 0.75rem; }
"""

_LAST: Final = """\
@media print {
  :root { color-scheme: light; }
  .picture, .panel { break-inside: avoid; }
  .picture .hint, .picture .bar:focus .tip { display: none; }
  .picture .bar:focus > rect, .picture .bar:focus > g { outline: none; }
}
@media (forced-colors: active) {
  .picture text, .picture .axis text { fill: CanvasText; }
  .tip div { color: CanvasText; }
  .picture .outline, .picture .doubt { stroke: CanvasText; }
  .names rect { fill: Canvas; }
  .picture .bar:focus > rect, .picture .bar:focus > g { outline-color: Highlight; }
}
"""
