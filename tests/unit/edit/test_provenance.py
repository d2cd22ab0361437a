"""Provenance is read back as written, and other metadata survives it."""

import io
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from stages.common.errors import BadInputError
from stages.common.provenance import describe_tool, embed_provenance, read_provenance, write_provenance

RECORD = {**describe_tool(), "emotion": "happy", "text": "<&\"'> größer", "box": [1.5, 2.0], "none": None}


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_round_trip_and_replacement(tmp_path, file_format):
    path = tmp_path / "picture"
    image = Image.fromarray(np.full((20, 30, 3), 90, np.uint8))
    exif = Image.Exif()
    exif[0x010E] = "described"
    image.save(path, file_format, exif=exif)
    assert read_provenance(path) is None
    write_provenance(path, {"first": 1})
    write_provenance(path, RECORD)
    assert read_provenance(path) == RECORD
    with Image.open(path) as saved:
        assert saved.getexif()[0x010E] == "described"
        assert np.array_equal(np.asarray(saved), np.asarray(image)) or file_format == "JPEG"
        xmp = saved.info["xmp"]
    assert path.read_bytes().count(b"facediff:provenance=") == 1
    root = ET.fromstring(xmp.decode() if isinstance(xmp, bytes) else xmp)
    assert b"compositeWithTrainedAlgorithmicMedia" in path.read_bytes()
    assert len(list(root.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description"))) == 1


def test_png_text_chunk_holds_the_record():
    stream = io.BytesIO()
    Image.new("RGB", (5, 5)).save(stream, "PNG")
    with Image.open(io.BytesIO(embed_provenance(stream.getvalue(), {"a": 1}))) as image:
        assert image.text["facediff"] == '{"a": 1}'


def test_the_source_type_of_a_camera_is_replaced():
    stream = io.BytesIO()
    Image.new("RGB", (5, 5)).save(stream, "JPEG")
    camera = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description rdf:about="" xmlns:I="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        b' I:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"/></rdf:RDF></x:xmpmeta>'
    )
    encoded = embed_provenance(stream.getvalue(), {"a": 1}, camera)
    assert b"digitalCapture" not in encoded
    with Image.open(io.BytesIO(encoded)) as image:
        ET.fromstring(image.info["xmp"])


def test_a_packet_that_is_too_long_for_jpeg_gives_way(tmp_path):
    stream = io.BytesIO()
    Image.new("RGB", (5, 5)).save(stream, "JPEG")
    huge = b"<rdf:RDF>" + b"x" * 65000 + b"</rdf:RDF>"
    (tmp_path / "a.jpg").write_bytes(embed_provenance(stream.getvalue(), {"a": 1}, huge))
    assert read_provenance(tmp_path / "a.jpg") == {"a": 1}


def test_other_formats_are_refused(tmp_path):
    Image.new("RGB", (5, 5)).save(tmp_path / "a.gif")
    with pytest.raises(BadInputError):
        write_provenance(tmp_path / "a.gif", {})
    (tmp_path / "b.png").write_bytes(b"nothing")
    with pytest.raises(BadInputError):
        read_provenance(tmp_path / "b.png")
