"""Our signatures against those of the `standardwebhooks` package."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from service.errors import ConfigurationError, InputError
from service.signatures import Secret, sign, verify

TEXT = "whsec_" + base64.b64encode(bytes(range(32))).decode()
SECRET = Secret.parse(TEXT)
OTHER = Secret.parse("whsec_" + base64.b64encode(b"another secret, also long enough").decode())
BODY = '{"type":"alarm.opened","data":{"text":"grüße"}}'.encode()


def signed(now: float, *, id: str = "msg-1", body: bytes = BODY, secrets: tuple[Secret, ...] = (SECRET,)) -> dict[str, str]:
    return sign(secrets, id=id, timestamp=int(now), body=body)


def refused(headers: dict[str, str], body: bytes = BODY, *, now: float = 1_000.0) -> InputError:
    with pytest.raises(InputError) as error:
        verify([SECRET], headers, body, now=now)
    return error.value


@given(
    id=st.text(st.characters(codec="ascii", exclude_characters="."), min_size=1),
    body=st.text(),
    key=st.binary(min_size=24, max_size=64),
    time=st.integers(0, 2**33),
)
def test_both_sides_sign_the_same(id: str, body: str, key: bytes, time: int) -> None:
    ours = sign([Secret(key)], id=id, timestamp=time, body=body.encode())
    assert ours["webhook-signature"] == Webhook(key).sign(id, datetime.fromtimestamp(time, UTC), body)


def test_the_other_side_accepts_ours_and_nothing_changed() -> None:
    now = datetime.now(UTC).timestamp()
    oracle = Webhook(TEXT)
    oracle.verify(BODY, signed(now))
    for headers, body in [
        (signed(now), BODY + b" "),
        (signed(now - 301), BODY),
        (signed(now) | {"webhook-id": "msg-2"}, BODY),
        (signed(now, secrets=(OTHER,)), BODY),
    ]:
        with pytest.raises(WebhookVerificationError):
            oracle.verify(body, headers)


def test_we_accept_theirs_whatever_the_case_of_the_headers() -> None:
    signature = Webhook(TEXT).sign("msg-1", datetime.fromtimestamp(1_000, UTC), BODY.decode())
    headers = {"Webhook-Id": "msg-1", "WEBHOOK-TIMESTAMP": "1000", "webhook-signature": signature}

    assert verify([SECRET], headers, BODY, now=1_200.0) == "msg-1"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"webhook-id": "msg-2"}, "bad_signature"),
        ({"webhook-timestamp": "1001"}, "bad_signature"),
        ({"webhook-signature": "v1,AAAA"}, "bad_signature"),
        ({"webhook-signature": "v1,not base64 é"}, "bad_signature"),
        ({"webhook-signature": "v1"}, "bad_signature"),
        ({"webhook-id": ""}, "unsigned"),
        ({"webhook-timestamp": ""}, "unsigned"),
        ({"webhook-signature": ""}, "unsigned"),
        ({"webhook-timestamp": "soon"}, "unsigned"),
        ({"webhook-timestamp": "1e3"}, "unsigned"),
        ({"webhook-timestamp": "-1000"}, "unsigned"),
        ({"webhook-timestamp": "9" * 400}, "unsigned"),
    ],
)
def test_a_changed_header_is_refused_with_its_reason(change: dict[str, str], reason: str) -> None:
    assert refused(signed(1_000) | change).reason == reason


def test_a_changed_body_is_refused() -> None:
    assert refused(signed(1_000), BODY + b" ").reason == "bad_signature"


@pytest.mark.parametrize(("now", "fits"), [(1_300.0, True), (1_301.5, False), (700.0, True), (698.5, False)])
def test_a_timestamp_is_good_for_five_minutes_either_way(now: float, fits: bool) -> None:
    if fits:
        assert verify([SECRET], signed(1_000), BODY, now=now) == "msg-1"
    else:
        assert refused(signed(1_000), now=now).reason == "stale"


def test_several_secrets_are_valid_while_they_are_rotated() -> None:
    assert verify([OTHER, SECRET], signed(1_000), BODY, now=1_000.0) == "msg-1"
    assert verify([SECRET], signed(1_000, secrets=(OTHER, SECRET)), BODY, now=1_000.0) == "msg-1"
    assert refused(signed(1_000, secrets=(OTHER,))).reason == "bad_signature"


def test_a_signature_of_another_version_does_not_count() -> None:
    headers = signed(1_000)
    asymmetric = headers["webhook-signature"].replace("v1,", "v1a,")

    assert refused(headers | {"webhook-signature": asymmetric}).reason == "bad_signature"
    verify([SECRET], headers | {"webhook-signature": f"{asymmetric} {headers['webhook-signature']}"}, BODY, now=1_000.0)


def test_without_a_secret_nothing_is_accepted() -> None:
    with pytest.raises(InputError):
        verify([], signed(1_000), BODY, now=1_000.0)


@pytest.mark.parametrize(
    "text", ["", "whsec_", "whsec_***", "whsec_" + base64.b64encode(b"short").decode(), "whsec_" + base64.b64encode(bytes(65)).decode()]
)
def test_a_bad_secret_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        Secret.parse(text)
    assert not text or text not in str(error.value)


def test_a_secret_does_not_show_itself() -> None:
    assert TEXT.removeprefix("whsec_") not in repr(SECRET)
    assert repr(SECRET) == "Secret()"
    assert Secret.parse(TEXT.rstrip("=") + "\n") == SECRET
