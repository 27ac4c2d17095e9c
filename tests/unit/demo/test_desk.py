"""The desk keeps what it was sent, and knows who signed it."""

import json
import urllib.request

from charkh.demo.desk import open_desk
from charkh.webhooks.secrets import new_secret
from charkh.webhooks.sign import standard_headers

BODY = json.dumps({"type": "io.charkh.alert.raised.v1"}).encode()


def test_a_letter_is_known_by_its_signature_over_id_time_and_body() -> None:
    secret = new_secret()
    headers = standard_headers(secret, "letter-1", 1_700_000_000, BODY)
    with open_desk() as desk:
        for body, sent in ((BODY, headers), (BODY + b" ", headers), (BODY, {**headers, "webhook-id": "letter-2"})):
            request = urllib.request.Request(desk.address, data=body, headers=dict(sent))
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
                assert answer.status == 204
    assert [letter.kind for letter in desk.letters] == ["alert.raised"] * 3
    assert [letter.is_signed_with(secret) for letter in desk.letters] == [True, False, False]
    assert not desk.letters[0].is_signed_with(new_secret())
