"""The WSGI application of the explorer, through werkzeug's client."""

import re
from importlib.resources import files

import numpy as np
import pytest
from explorer_samples import noise, png
from werkzeug.test import Client

from colorcnn.explorer.app import ASSETS, App
from colorcnn.explorer.protocol import MOST_LISTED

HOST = "127.0.0.1:8765"
OWN = {"Host": HOST, "Origin": f"http://{HOST}"}
REQUEST = {"picture": "data-0", "method": "wu", "colors": 4}


@pytest.fixture
def client(explorer):
    return Client(App(explorer))


def sentence(response):
    return response.get_json()["error"]


@pytest.mark.parametrize("path", ASSETS)
def test_the_page_is_served_with_a_strict_policy(client, path):
    response = client.get(path, headers={"Host": HOST})
    assert response.status_code == 200
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_loads_nothing_from_elsewhere_and_has_no_code_inline():
    for name, _ in ASSETS.values():
        text = (files("colorcnn.explorer") / "static" / name).read_text()
        assert not re.search(r"(src|href)=\"(https?:)?//|url\(|innerHTML|\bon[a-z]+=\"|style=\"", text)


def test_answers_are_json(client):
    assert client.get("/api/state", headers=OWN).get_json()["total"] == 3
    assert len(client.get("/api/pictures?first=1&count=1", headers=OWN).get_json()["pictures"]) == 1
    found = client.post("/api/quantized", json=REQUEST, headers=OWN)
    assert (found.status_code, len(found.get_json()["palette"])) == (200, 4)
    original = client.post("/api/original", json={"picture": "data-1", "maps": True}, headers=OWN)
    assert original.get_json()["width"] == 24
    assert client.get("/api/thumbnail?picture=data-0", headers=OWN).mimetype == "image/png"


def test_a_picture_can_be_added(client):
    added = client.post("/api/added?name=mine.png", data=png(noise()), headers=OWN).get_json()
    assert added["name"] == "mine.png"
    found = client.post("/api/quantized", json={**REQUEST, "picture": added["id"]}, headers=OWN)
    assert found.status_code == 200
    assert client.get("/api/state", headers=OWN).get_json()["added"][-1] == added, (
        "for a page that is loaded again"
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "example.com"},
        {"Host": "example.com:8765"},
        {"Host": "127.0.0.1.example.com"},
        {"Host": ""},
        {"Host": HOST, "Origin": "http://example.com"},
        {"Host": HOST, "Origin": "http://127.0.0.1:3000"},
        {"Host": HOST, "Origin": "null"},
        {"Host": HOST, "Sec-Fetch-Site": "cross-site"},
        {"Host": HOST, "Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_hosts_and_websites_are_refused(client, headers):
    for response in (client.get("/api/state", headers=headers), client.get("/", headers=headers)):
        assert response.status_code == 403
        assert sentence(response).endswith(".")


def test_what_computes_must_come_from_the_page(client):
    assert client.post("/api/quantized", json=REQUEST, headers={"Host": HOST}).status_code == 403
    assert client.post("/api/added?name=a.png", data=png(noise()), headers={"Host": HOST}).status_code == 403


def test_a_tunnel_may_have_another_port(client):
    headers = {"Host": "localhost:9000", "Origin": "http://localhost:9000"}
    assert client.post("/api/quantized", json=REQUEST, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "content",
    [
        {**REQUEST, "colors": 0},
        {**REQUEST, "colors": 257},
        {**REQUEST, "colors": "4"},
        {**REQUEST, "size": 100_000},
        {**REQUEST, "extra": 1},
        {**REQUEST, "picture": "../../etc/passwd"},
        {**REQUEST, "method": "colorcnn:/etc"},
        {"picture": "data-0"},
        [],
    ],
)
def test_a_wrong_request_is_refused_with_a_sentence(client, content):
    response = client.post("/api/quantized", json=content, headers=OWN)
    assert response.status_code in (400, 422)
    assert sentence(response).endswith(".")


def test_only_json_is_read_as_a_request(client):
    response = client.post("/api/quantized", data="picture=data-0", headers=OWN)
    assert response.status_code == 400
    broken = client.post("/api/quantized", data="{", headers=OWN, content_type="application/json")
    assert (broken.status_code, "JSON" in sentence(broken)) == (422, True)


@pytest.mark.parametrize(
    "path", ["/static/app.py", "/../app.py", "/%2e%2e/app.py", "/main.js/..", "/etc/passwd"]
)
def test_there_are_no_other_files(client, path):
    assert client.get(path, headers=OWN).status_code == 404


def test_long_bodies_are_not_read(client, monkeypatch):
    monkeypatch.setattr("colorcnn.explorer.app.MOST_BYTES", 100)
    response = client.post("/api/added?name=a.png", data=bytes(101), headers=OWN)
    assert (response.status_code, "MiB" in sentence(response)) == (413, True)


def test_lists_have_a_bound(client):
    assert client.get(f"/api/pictures?count={MOST_LISTED + 1}", headers=OWN).status_code == 400
    assert client.get("/api/pictures?first=-1", headers=OWN).status_code == 400


def test_a_text_is_no_picture(client):
    response = client.post("/api/added?name=notes.txt", data=b"a text", headers=OWN)
    assert (response.status_code, sentence(response).startswith("notes.txt")) == (422, True)


def test_a_picture_of_too_many_pixels_is_refused_in_the_words_of_the_page(client):
    many = png(np.zeros((6000, 6000), np.uint8))
    response = client.post("/api/added?name=wall.png", data=many, headers=OWN)
    assert (response.status_code, sentence(response).endswith(": scale it down first.")) == (422, True)


def test_a_failure_is_told_and_does_not_end_the_page(client, explorer, monkeypatch):
    monkeypatch.setattr(explorer, "quantized", lambda request: 1 / 0)
    response = client.post("/api/quantized", json=REQUEST, headers=OWN)
    assert (response.status_code, "ZeroDivisionError" in sentence(response)) == (500, True)
    monkeypatch.setattr(explorer, "quantized", lambda request: (_ for _ in ()).throw(MemoryError()))
    assert "memory" in sentence(client.post("/api/quantized", json=REQUEST, headers=OWN))
