"""From golden rows to a file that answers as certified; what is used up is remembered, and what can't be promised is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from detectors.comparison import allowed_flips, spent
from service.errors import ArtefactError, ConflictError, EmbedderError, InputError
from service.golden import refill, representatives
from service.looks import LOOKED
from service.records import Alarm, Event, Family, Sample
from service.switching import building, graph, pairs
from service.switching.building import Built, Wanted
from service.switching.certificate import InForce, beside, conditions, read

if TYPE_CHECKING:
    from tests.service.switching.conftest import Site

pytestmark = pytest.mark.long


def build(site: Site, output: Path, **options: Any) -> Built:
    wanted = Wanted("chat", site.folder / options.pop("new", "new.onnx"), **{"alpha": 0.02, **options})
    return site.switches.build(wanted, output, actor="ana", now=1_772_366_400.0)


def attempts_of(site: Site) -> list[Event]:
    return [event for event in site.store.events("chat") if event.kind == LOOKED]


def test_the_written_switch_answers_as_certified(site: Site, tmp_path: Path, drifted: Callable[[int], list[Sample]]) -> None:
    golden = site.golden()
    built = build(site, tmp_path / "out" / "switch.onnx", drifted=tuple(drifted(300)), by_class=True)
    certificate = built.certificate
    assert certificate
    rows = representatives(golden).part("calibrate")
    assert (certificate.golden.rows, certificate.golden.use, certificate.golden.version) == (len(rows.rows), 1, 1)
    assert certificate.flips <= certificate.flips_allowed == allowed_flips(len(rows.rows), 0.02, error=0.05)
    assert certificate.bound <= 0.02
    assert (certificate.created, certificate.expires) == ("2026-03-01", "2026-05-30")
    session = ort.InferenceSession(str(tmp_path / "out" / "switch.onnx"), providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_outputs()] == ["label", "logits", "served_new", "embedding"]
    inputs = {"x": np.stack([np.asarray(sample.payload) for sample in rows.samples])}
    label, served = session.run(["label", "served_new"], inputs)
    old = site.embedder("chat").embed([sample.payload for sample in rows.samples]).logits
    assert old is not None
    before = [site.settings.classes[i] for i in old.argmax(1)]
    after = [certificate.classes[i] for i in label]
    flips = [sample.label == was != now for sample, was, now in zip(rows.samples, before, after, strict=True)]
    assert sum(flips) == certificate.flips == sum(found.flips for found in certificate.flips_by_class.values())
    assert certificate.changed == sum(was != now for was, now in zip(before, after, strict=True))
    assert served.sum() >= (certificate.changed or 0) > 0
    assert certificate.shared_embedder
    assert certificate.expected
    assert 0.1 < certificate.expected.gain <= certificate.expected.ungated


def test_the_certificate_stands_beside_the_file_and_inside(site: Site, tmp_path: Path) -> None:
    site.golden()
    path = tmp_path / "switch.onnx"
    certificate = build(site, path).certificate
    assert certificate
    assert read(path) == certificate
    assert json.loads(beside(path).read_text(encoding="utf-8"))["alpha"] == 0.02
    beside(path).unlink()
    assert read(path) == replace(certificate, artefact="")
    with pytest.raises(ArtefactError, match="no switch: it carries no certificate"):
        read(site.folder / "old.onnx")
    (tmp_path / "no.onnx").write_bytes(b"no model")
    with pytest.raises(ArtefactError, match="no ONNX model"):
        read(tmp_path / "no.onnx")
    for damage in ("{", '{"format": 7}', '{"format": 1, "alpha": []}'):
        beside(path).write_text(damage, encoding="utf-8")
        with pytest.raises(ArtefactError, match="certificate"):
            read(path)


def test_every_attempt_uses_the_rows_up_and_a_repeat_is_none(site: Site, tmp_path: Path) -> None:
    site.golden()
    first = build(site, tmp_path / "a.onnx").certificate
    assert first
    assert build(site, tmp_path / "b.onnx").certificate == replace(first, artefact=read(tmp_path / "b.onnx").artefact)
    assert len(attempts_of(site)) == 1
    second = build(site, tmp_path / "c.onnx", alpha=0.05, delta=0.2).certificate
    assert second
    assert (second.golden.use, second.delta_in_force) == (2, spent(0.2, 2, outcomes=41))
    assert second.delta_spent == pytest.approx(spent(0.2, 1, outcomes=41) + spent(0.2, 2, outcomes=41))
    with pytest.raises(
        InputError, match=r"at their use 3, which may err by 9.9e-06 only; to show at most 2\.00% .* it takes \d+, or \d+ that no"
    ):
        build(site, tmp_path / "d.onnx", delta=0.2)
    assert len(attempts_of(site)) == 2


def test_rows_of_which_more_was_told_are_not_taken_again(site: Site, tmp_path: Path) -> None:
    site.golden()
    plain = build(site, tmp_path / "a.onnx", alpha=0.03).certificate
    assert plain
    assert (plain.changed, plain.flips_by_class, plain.uncovered) == (None, {}, ())
    told = build(site, tmp_path / "a.onnx", alpha=0.03, by_class=True).certificate
    assert told
    assert (told.golden, told.flips) == (plain.golden, plain.flips)
    assert sum(found.flips for found in told.flips_by_class.values()) == told.flips
    with pytest.raises(InputError, match="calibrate part has 0 rows left of which flips by class were not told"):
        build(site, tmp_path / "b.onnx", alpha=0.1)
    assert build(site, tmp_path / "a.onnx", alpha=0.03).certificate == replace(plain, artefact=read(tmp_path / "a.onnx").artefact)
    assert refill(
        site.data_sets, site.settings, [replace(sample, id=f"f-{sample.id}") for sample in _more(900)], site.embedder("chat"), now=2.0
    )
    fresh = build(site, tmp_path / "b.onnx", alpha=0.1).certificate
    assert fresh
    assert (fresh.golden.use, fresh.golden.rows < 600) == (1, True)
    assert len(attempts_of(site)) == 2


def test_another_order_of_classes_is_another_look(site: Site, tmp_path: Path) -> None:
    site.golden()
    first, *more = site.settings.classes
    assert build(site, tmp_path / "a.onnx", new="bad.onnx", alpha=0.1).use == 1
    swapped = build(site, tmp_path / "b.onnx", new="bad.onnx", alpha=0.1, classes=(more[0], first, *more[1:]))
    assert (swapped.use, len(attempts_of(site))) == (2, 2)
    same = build(site, tmp_path / "c.onnx", new="bad.onnx", alpha=0.1, classes=(more[0], first, *more[1:]))
    assert (same.use, len(attempts_of(site))) == (2, 2)


def test_other_weights_beside_the_file_are_another_look(site: Site, tmp_path: Path) -> None:
    site.golden()
    path = tmp_path / "new" / "model.onnx"
    path.parent.mkdir()
    uses = []
    for source in ("bad.onnx", "old.onnx"):
        model = onnx.load(site.folder / source)
        path.with_name("model.onnx.data").unlink(missing_ok=True)
        onnx.save(model, path, save_as_external_data=True, location="model.onnx.data", size_threshold=0)
        site.loaded.clear()
        uses.append(build(site, tmp_path / "out.onnx", new=path, alpha=0.1).use)
    assert uses == [1, 2]


def test_rows_that_came_since_are_taken_by_themselves_where_they_allow_more(site: Site, tmp_path: Path) -> None:
    site.golden()
    build(site, tmp_path / "a.onnx", alpha=0.03)
    fresh = [replace(sample, id=f"f-{sample.id}") for sample in _more(900)]
    assert refill(site.data_sets, site.settings, fresh, site.embedder("chat"), now=2.0)
    found = build(site, tmp_path / "b.onnx", alpha=0.025).certificate
    assert found
    assert (found.golden.use, found.golden.fresh, found.golden.version) == (1, True, 2)
    assert 300 < found.golden.rows < 600
    assert attempts_of(site)[-1].body["fresh"] is True
    again = build(site, tmp_path / "c.onnx", alpha=0.04).certificate
    assert again
    assert (again.golden.use, again.golden.fresh) == (3, False)  # two looks can have told of these rows, though each met half


def _more(count: int) -> list[Sample]:
    from tests.service.switching.conftest import samples

    return samples(count, 5)


def test_a_model_that_breaks_too_much_leaves_the_old_one(site: Site, tmp_path: Path) -> None:
    site.golden()
    built = build(site, tmp_path / "switch.onnx", new="bad.onnx")
    assert built.certificate is None
    assert built.calibration.threshold is None
    assert built.calibration.bound > 0.02
    assert list(tmp_path.glob("*.onnx*")) == []
    assert len(attempts_of(site)) == 1  # it was looked at all the same


def test_whoever_is_slower_starts_again(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.golden()
    answers = pairs.answers_of

    def slowly(*given: Any) -> Any:
        monkeypatch.setattr(building, "answers_of", answers)
        build(site, tmp_path / "other.onnx", alpha=0.05)
        return answers(*given)

    monkeypatch.setattr(building, "answers_of", slowly)
    with pytest.raises(ConflictError, match="somebody else looked at the same golden rows meanwhile"):
        build(site, tmp_path / "switch.onnx")


def test_what_can_not_be_promised_is_refused(site: Site, tmp_path: Path) -> None:
    output = tmp_path / "switch.onnx"
    with pytest.raises(InputError, match="no golden set, so no bound"):
        build(site, output)
    site.golden(300)
    with pytest.raises(InputError, match=r"has \d+ rows \(one of each group of near-duplicates\); to show at most 1\.00% .* it takes 299"):
        build(site, output, alpha=0.01)
    with pytest.raises(InputError, match="alpha: above 0 and below"):
        Wanted("chat", output, alpha=0.0)
    assert attempts_of(site) == []


def test_models_that_do_not_belong_together_are_refused(site: Site, tmp_path: Path) -> None:
    output = tmp_path / "switch.onnx"
    with pytest.raises(InputError, match=r"bad\.onnx: lacks 1 of the old model's 6 classes \(new\)"):
        build(site, output, old=site.folder / "new.onnx", new="bad.onnx")
    site.golden()
    with pytest.raises(InputError, match=r"bad\.onnx: must give one logit for each of its 6 classes; found 5"):
        build(site, output, new="bad.onnx", classes=(*site.settings.classes, "more"))
    undeclared = replace(site, settings=site.settings.model_copy(update={"classes": ()}))
    with pytest.raises(InputError, match=r"old\.onnx: its classes are not known: declare `classes` for monitor chat"):
        build(undeclared, output)
    without = site.settings.embedder.model_copy(update={"logits_output": None})
    with pytest.raises(InputError, match=r"embedder\.logits_output is not set, so there are no logits"):
        build(replace(site, settings=site.settings.model_copy(update={"embedder": without})), output)
    assert attempts_of(site) == []


def test_a_file_that_answers_otherwise_never_takes_its_place(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.golden()
    merge = graph.merge
    monkeypatch.setattr(building, "merge", lambda *given, **options: merge(*given, **{**options, "threshold": 2.0}))
    with pytest.raises(EmbedderError, match=r"answers \d+ of \d+ rows other than the models that it is made of"):
        build(site, tmp_path / "switch.onnx")
    assert list(tmp_path.glob("*switch*")) == []


def test_a_certificate_ends_when_what_it_stands_on_does(site: Site, tmp_path: Path) -> None:
    site.golden()
    path = tmp_path / "switch.onnx"
    certificate = build(site, path).certificate
    assert certificate
    now = InForce("chat", 1, site.embedder("chat").fingerprint, site.folder / "old.onnx", "2026-03-02")

    def ended(now: InForce) -> list[str]:
        return [each.name for each in conditions(certificate, path, now, site.store, site.data_sets) if not each.holds]

    assert ended(now) == []
    assert ended(replace(now, date="2026-06-01")) == ["date"]
    assert ended(replace(now, monitor="mail")) == ["monitor", "golden"]
    assert ended(replace(now, reference_version=2)) == ["reference"]
    assert ended(replace(now, fingerprint="another")) == ["model"]
    assert ended(replace(now, reference_version=2, fingerprint="its own", model=path)) == []  # it came into force itself
    site.golden(600, seed=9)
    assert ended(now) == ["golden"]
    path.write_bytes(path.read_bytes() + b"x")
    assert "file" in ended(now)


def test_alarms_that_were_open_are_no_news(site: Site, tmp_path: Path, make_alarm: Callable[..., Alarm]) -> None:
    site.golden()
    site.store.save(make_alarm("known"), make_alarm("feed", family=Family.FEED))
    path = tmp_path / "switch.onnx"
    certificate = build(site, path).certificate
    assert certificate
    assert certificate.alarms == ("known",)
    now = InForce("chat", 1, site.embedder("chat").fingerprint, None, "2026-03-02")
    held = {each.name: each.says for each in conditions(certificate, path, now, site.store, site.data_sets)}
    assert held["traffic"] == "no alarm has opened since; 1 that were open then still are: of what drifted nothing is promised"
    site.store.save(make_alarm("later"))
    ended = [each for each in conditions(certificate, path, now, site.store, site.data_sets) if not each.holds]
    assert [(each.name, each.says) for each in ended] == [
        ("traffic", "alarms opened since (later): traffic is no longer what golden was drawn from")
    ]
