"""Messages to Gradio, over real HTTP and as a function: however a file is spelled, none gets through."""

import json
import socket
import time
from contextlib import contextmanager, suppress
from http.client import HTTPConnection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duckrabbit.errors import UserError
from duckrabbit.studio.server.messages import rewritten

ENDLESS = {"path": "/dev/zero", "meta": {"_type": "gradio.FileData"}}


def letters(word):
    """The word with an escape for every letter, as JSON may spell it."""
    return "".join(f"\\u{ord(letter):04x}" for letter in word)


PLAIN = json.dumps({"data": [ENDLESS]})
ESCAPED = PLAIN.replace("gradio.", "gradio\\u002e")
FORM = b'--x\r\ncontent-disposition: form-data; name="data"\r\n\r\n' + PLAIN.encode() + b"\r\n--x--\r\n"
SPELLINGS = {
    "as it is": PLAIN,
    "an escape in a value": ESCAPED,
    "escapes in keys": ESCAPED.replace('"path', '"p\\u0061th').replace('"_type', '"\\u005ftype'),
    "every letter escaped": PLAIN.replace("path", letters("path")).replace("meta", letters("meta")),
    "within lists": json.dumps({"data": [[[[ENDLESS]]], "x"]}),
    "within an object": json.dumps({"data": [{"a": {"b": ENDLESS}}]}),
    "an object that names no file": json.dumps({"data": [{}]}),
    "as the event": json.dumps({"data": [], "event_data": ENDLESS}),
    "within the event": json.dumps({"data": [], "event_data": {"item": ENDLESS}}),
    "beside the event": json.dumps({"data": [], "event_data": {"item": "x", "path": "/dev/zero"}}),
    "as the session": json.dumps({"data": [], "session_hash": ENDLESS}),
    "under a key of its own": json.dumps({"data": [], "more": ENDLESS}),
    "as all data": json.dumps({"data": ENDLESS}),
    "as the message": json.dumps(ENDLESS),
    "in a list of messages": json.dumps([{"data": [ENDLESS]}]),
    "data twice": ESCAPED[:-1] + ', "data": []}',
    "data twice, escaped": '{"data": [], "d\\u0061ta": [' + json.dumps(ENDLESS) + "]}",
    "UTF-16": PLAIN.encode("utf-16"),
    "UTF-16 without a mark": ESCAPED.encode("utf-16-le"),
    "UTF-16, the other end": ESCAPED.encode("utf-16-be"),
    "UTF-32": PLAIN.encode("utf-32"),
    "UTF-32 without a mark": PLAIN.encode("utf-32-be"),
    "UTF-7": ESCAPED.replace("{", "+AHs-").encode(),
    "a mark before it": ESCAPED.encode("utf-8-sig"),
    "bytes that are no text": b'{"data": ["\xff\xfe"]}',
    "letters that are too long": PLAIN.replace("/", "\0").encode().replace(b"\0", b"\xc0\xaf"),
    "half a pair": '{"data": ["\\ud800"]}',
    "a form": FORM,
    "a form of an address": b"data=" + PLAIN.encode(),
    "lines": (PLAIN + "\n" + PLAIN),
    "a comment": "/* */" + PLAIN,
    "too deep a list": '{"data": [' + "[" * 40 + "]" * 40 + "]}",
    "a list without end": '{"data": ' + "[" * 90_000,
    "an object without end": '{"data": ' * 10_000,
    "a deep pit": '{"data": [' + "[" * 45_000 + "]" * 45_000 + "]}",
    "an infinite number": '{"data": [1e999]}',
    "Infinity": '{"data": [-Infinity]}',
    "NaN": '{"data": [NaN]}',
    "a number of 90,000 digits": '{"data": [' + "9" * 90_000 + "]}",
    "a number of 20 digits": '{"data": [' + "9" * 20 + "]}",
    "nothing": b"",
    "a word": b"null",
    "zeros": bytes(50),
}
TYPES = ("application/json", "application/json; charset=utf-16", "multipart/form-data; boundary=x", "text/plain", "")
PATHS = ("queue/join", "run/generate", "api/predict", "call/generate", "call/delete/", "call/v2/generate", "reset")


@contextmanager
def quick(http):
    """What is done within leaves a studio whose page is there in less than a second, at the third try at the latest."""
    yield
    seconds = []
    for _ in range(3):
        line = HTTPConnection(http.base_url.host, http.base_url.port, timeout=10)
        began = time.monotonic()
        line.request("GET", "/")
        assert line.getresponse().status == 200
        seconds.append(time.monotonic() - began)
        line.close()
        if seconds[-1] < 1:
            return
    pytest.fail(f"the page took {seconds} s")


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_of_a_file_gets_through(http, spelling):
    """Before the guard read JSON, all but the first of these reached Gradio, which then read /dev/zero for ever."""
    content = SPELLINGS[spelling]
    with quick(http):
        for kind in TYPES:
            answer = http.post("/gradio_api/queue/join", content=content, headers={"content-type": kind}, timeout=5)
            assert answer.status_code == 400, kind
            assert answer.json()["error"].endswith(".")


@pytest.mark.parametrize("path", PATHS)
def test_no_endpoint_takes_a_file(http, path):
    with quick(http):
        for content in (PLAIN, ESCAPED, json.dumps({"image": ENDLESS, "prompt": "x"})):
            answer = http.post(f"/gradio_api/{path}", content=content, timeout=5)
            assert answer.status_code == 400
            assert http.post(f"/gradio_api/{path}?data={PLAIN}", timeout=5).status_code == 400
            for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"):
                assert http.request(method, f"/gradio_api/{path}", content=content).status_code == 405


@pytest.mark.parametrize("path", ["queue/join", "run/generate", "api/predict", "call/generate"])
def test_an_address_is_no_message(http, path):
    with quick(http):
        answer = http.get(f"/gradio_api/{path}", params={"data": PLAIN, "fn_index": 0, "session_hash": "x"})
        assert answer.status_code in (404, 405)


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/component_server", "/gradio_api/component_server/", "/gradio_api/stream/x", "/gradio_api/login",
        "/login", "/gradio_api/process_recording", "/gradio_api/run-history/connect", "/gradio_api/queue/join/",
        "/gradio_api/call/v2/a/b", "/gradio_api//call/generate", "/gradio_api/vibe-edit", "/queue/join", "/",
    ],
)  # fmt: skip
def test_other_paths_take_no_messages(http, path):
    assert http.post(path, json={"data": ["x"]}).status_code == 404


def test_links_that_fill_the_page_from_files_are_shut(http):
    for query in ("deep_link=x", "deep%5flink=x", "page=&deep_link=../x"):
        assert http.get("/?" + query).status_code == 404
        assert http.get("/config?" + query).status_code == 404


def test_there_is_no_web_socket(studio, http):
    """Raw, so that whatever stands behind the answer is seen: no 101."""
    host, port = studio.address.removeprefix("http://").split(":")
    with quick(http), socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(
            f"GET /gradio_api/queue/join HTTP/1.1\r\nHost: {host}:{port}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert b" 40" in line.recv(4000).split(b"\r\n")[0]


def test_two_lengths_or_none_make_no_second_message(studio, http):
    """A body in chunks, with a length beside it: what is read here is all that anybody reads."""
    host, port = studio.address.removeprefix("http://").split(":")
    head = f"POST /gradio_api/queue/join HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
    body = ESCAPED.encode()
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    for more in ("Transfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 12\r\n"):
        with quick(http), socket.create_connection((host, int(port)), timeout=10) as line:
            line.sendall((head + more + "\r\n").encode() + chunked)
            assert b" 400" in line.recv(4000).split(b"\r\n")[0]


def test_what_pages_and_programs_send_is_let_through(http):
    """Whatever type they say it has, and in chunks."""
    for kind in TYPES:
        answer = http.post(
            "/gradio_api/call/shelf", content=iter([b'{"da', b'ta": [3]}']), headers={"content-type": kind}
        )
        assert answer.status_code == 200, kind
        text = http.get(f"/gradio_api/call/shelf/{answer.json()['event_id']}").text
        assert text.startswith("event: complete")
    assert http.post("/gradio_api/call/v2/shelf", json={"most": 3}).status_code == 200
    gone = {"data": [], "event_data": {"item": "20260101-000000-generate-aaaaaa"}, "fn_index": 0, "trigger_id": None}
    assert rewritten("/gradio_api/queue/join", json.dumps(gone).encode()) == json.dumps(gone).encode()


@pytest.mark.parametrize(
    "message",
    [
        {"data": [], "fn_index": 2**62, "session_hash": "x"},
        {"data": [], "fn_index": -1, "session_hash": "x"},
        {"data": [], "session_hash": "x"},
        {"data": ["x"] * 5000, "fn_index": 0, "session_hash": "x"},
        {"data": []},
    ],
)
def test_messages_that_mean_nothing_do_no_harm(http, message):
    with quick(http):
        http.post("/gradio_api/queue/join", json=message, timeout=5)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)
keys = st.sampled_from(["data", "event_data", "session_hash", "event_id", "fn_index", "trigger_id", "batched", "path"])
messages = st.dictionaries(keys, json_values, max_size=5) | st.fixed_dictionaries({"data": st.lists(json_values)})


def holds_an_object(value):
    return isinstance(value, dict) or (isinstance(value, list) and any(map(holds_an_object, value)))


@given(messages, st.booleans(), st.sampled_from(PATHS))
def test_what_is_handed_on_is_what_was_read_and_holds_no_object(message, ascii_only, path):
    try:
        content = json.dumps(message, ensure_ascii=ascii_only).encode("utf-8")
        handed = rewritten(f"/gradio_api/{path}", content)
    except (UserError, UnicodeEncodeError):
        return
    again = json.loads(handed.decode("ascii"))
    assert again == json.loads(content) == message
    assert not any(holds_an_object(value) for key, value in again.items() if key != "event_data")
    event = again.get("event_data")
    assert event is None or not any(map(holds_an_object, event.values()))


@given(st.lists(st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(codec="utf-8"))))
def test_plain_values_are_always_let_through(values):
    content = json.dumps({"data": [*values, values], "session_hash": "x"}, ensure_ascii=False).encode()
    assert json.loads(rewritten("/gradio_api/queue/join", content))["data"] == [*values, values]


@given(st.binary(max_size=60))
def test_whatever_bytes_are_sent_the_answer_is_a_sentence(content):
    with suppress(UserError):
        json.loads(rewritten("/gradio_api/queue/join", b"{" + content).decode("ascii"))
