"""Annotation batches and label schemes, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from service.annotation.consensus import Accuracy, Agreement
from service.annotation.scheme import SchemeChange
from service.annotation.standing import BatchStanding
from service.records import AnnotationBatch, Candidate, LabelScheme
from service.screens.drawing import NONE, columns, count, excerpt, moment, percent, word

_ITEMS = 50
_RIGHT = ("answered", "asked", "rows", "priority", "probability", "answers", "gold")


def batches_table(batches: Sequence[AnnotationBatch]) -> RenderableType:
    """Newest first."""
    table = columns("batch", "monitor", "state", "answered", "priority", "closes by", right=_RIGHT)
    for each in batches:
        closes = moment(each.deadline)[:10] if each.deadline else NONE
        table.add_row(
            each.id, each.monitor, word(each.state), f"{count(each.returned)} of {count(len(each.items))}", str(each.priority), closes
        )
    return table if batches else Text("no annotation batches")


def batch_screen(batch: AnnotationBatch, found: BatchStanding) -> RenderableType:
    """What was asked, what it costs, and what came back."""
    parts: list[RenderableType] = [_headline(batch, found), *_warnings(batch, found)]
    if batch.items:
        parts += [Text(), _items(batch, found.agreements)]
    if found.annotators:
        parts += [Text(), _annotators(found.annotators)]
    return Group(*parts)


def _headline(batch: AnnotationBatch, found: BatchStanding) -> Text:
    price = "" if found.price is None else f", {found.price:,.2f} in all"
    gold = f" and {count(len(batch.gold))} rows of gold" if batch.gold else ""
    closes = f", closes by {moment(batch.deadline)}" if batch.deadline else ""
    sent = f"sent to {batch.destination}{closes}" if batch.destination else f"waits: {found.waits}" if found.waits else "not sent"
    return Text.assemble(
        (f"annotation batch {batch.id} on {batch.monitor}: ", "bold"),
        word(batch.state),
        f", {count(batch.returned)} of {count(len(batch.items))} answered, priority {batch.priority}\n"
        f"{count(len(batch.items))} candidates{gold}, {count(found.labels)} answers{price}; scheme {batch.scheme}, "
        f"reference {batch.reference_version}, cycle {batch.cycle or NONE}\n{sent}",
    )


def _warnings(batch: AnnotationBatch, found: BatchStanding) -> Sequence[Text]:
    told = []
    if not found.intact:
        told.append(f"its manifest is not the one that was sealed ({batch.manifest[:12]}…): the batch was changed, or erased in part")
    if found.unresolved:
        words = ", ".join(f"{excerpt(name, 40)!r} ({times})" for name, times in list(found.unresolved.items())[:5])
        told.append(f"words that the label scheme does not know count as no answers: {words}; `driftgate scheme add` or an alias")
    if found.proposed:
        names = ", ".join(f"{excerpt(each.name, 40)!r} ({len(each.samples)})" for each in found.proposed[:5])
        told.append(f"annotators miss classes: {names}; `driftgate scheme add` adds one")
    return [Text(line, "yellow") for line in told]


def _items(batch: AnnotationBatch, agreements: Mapping[str, Agreement]) -> RenderableType:
    table = columns("item", "for", "priority", "answer", "probability", "answers", "text", right=_RIGHT)
    ordered = sorted(batch.items, key=lambda item: -item.priority)
    for item in ordered[:_ITEMS]:
        table.add_row(*_item(item, agreements.get(item.id)))
    if len(ordered) > _ITEMS:
        table.caption, table.caption_justify = f"… and {count(len(ordered) - _ITEMS)} more", "left"
    return table


def _item(item: Candidate, agreement: Agreement | None) -> tuple[RenderableType, ...]:
    said, sure = NONE, NONE
    if agreement is not None:
        said, sure = excerpt(agreement.label.label or "unusable", 40), f"{100 * agreement.probability:.0f} ± {100 * agreement.spread:.0f} %"
    answers = f"{agreement.answers if agreement else 0} of {item.answers}"
    return Text(excerpt(item.id, 60)), item.purpose.value, f"{item.priority:.2f}", Text(said), sure, answers, Text(excerpt(item.text, 60))


def _annotators(found: Mapping[str, Accuracy]) -> RenderableType:
    table = columns("annotator", "answers", "right", "between", "gold", right=_RIGHT)
    for name, each in found.items():
        gold = f"{each.gold_right} of {each.gold}" if each.gold else NONE
        between = f"{100 * each.low:.0f} to {100 * each.high:.0f} %"
        table.add_row(Text(excerpt(name, 60) or "(no name)"), count(each.answers), percent(each.mean), between, gold)
    return table


# --- schemes ----------------------------------------------------------------------------------------------------------


def scheme_screen(scheme: LabelScheme, unheard: Sequence[str] = ()) -> RenderableType:
    """One version. unheard : classes of the model that it has no word for."""
    by = f" by {excerpt(scheme.actor, 60)}" if scheme.actor else ", from the monitor's classes"
    parts: list[RenderableType] = [Text(f"label scheme of {scheme.monitor}, version {scheme.number}{by}", "bold")]
    if scheme.note:
        parts.append(Text(excerpt(scheme.note, 200), "dim"))
    if scheme.guideline:
        parts.append(Text(excerpt(scheme.guideline, 1_000)))
    table = columns("class", "aliases", "guideline")
    for each in scheme.classes:
        table.add_row(Text(excerpt(each.name)), Text(excerpt(", ".join(each.aliases)) or NONE), Text(excerpt(each.guideline) or NONE))
    parts.append(table if scheme.classes else Text("no classes are declared: whatever is answered is one"))
    if scheme.renamed:
        parts.append(Text("formerly: " + excerpt(", ".join(f"{old} → {new}" for old, new in scheme.renamed), 500), "dim"))
    if unheard:
        parts.append(Text(f"the model answers with classes that it has not: {excerpt(', '.join(unheard), 300)}", "yellow"))
    return Group(*parts)


def schemes_table(versions: Sequence[LabelScheme]) -> RenderableType:
    """Newest first."""
    table = columns("version", "made", "by", "classes", "what changed", right=("version", "classes"))
    for each in versions:
        by = Text(excerpt(each.actor, 40) or NONE)
        table.add_row(str(each.number), moment(each.created), by, count(len(each.classes)), Text(excerpt(each.note)))
    return (
        table
        if versions
        else Text("no version is kept yet: the first follows from the monitor's classes, or from `driftgate scheme apply`")
    )


def change_screen(old: LabelScheme, new: LabelScheme, change: SchemeChange) -> RenderableType:
    """What the newer version changes."""
    lines = [Text(f"+ {excerpt(name)}", "green") for name in change.added]
    lines += [Text(f"- {excerpt(name)}", "red") for name in change.removed]
    lines += [Text(f"{excerpt(former)} → {excerpt(name)}", "yellow") for former, name in change.renamed]
    for name, (came, went) in change.aliases.items():
        lines.append(Text(excerpt(f"{name}: aliases {' '.join([*('+' + each for each in came), *('-' + each for each in went)])}", 200)))
    lines += [Text(f"{excerpt(name) or 'the whole task'}: another guideline") for name in change.guidelines]
    return Group(Text(f"version {old.number} → {new.number}", "bold"), *(lines or [Text("the same")]))
