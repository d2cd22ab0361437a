"""A picture that lost its film says so."""

import io

from PIL import Image

from stages.common.films_in_photos import has_film, without_film
from stages.common.provenance import embed_provenance
from stages.edit.photo import load_photo
from stages.edit.save import save_photo

XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:GCamera="http://ns.google.com/photos/1.0/camera/"'
    ' xmlns:Container="http://ns.google.com/photos/1.0/container/"'
    ' xmlns:Item="http://ns.google.com/photos/1.0/container/item/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    ' GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1" GCamera:MotionPhotoPresentationTimestampUs="900"'
    ' dc:format="image/jpeg"><Container:Directory><rdf:Seq><rdf:li><Container:Item Item:Mime="video/mp4"'
    ' Item:Semantic="MotionPhoto" Item:Length="4"/></rdf:li></rdf:Seq></Container:Directory>'
    "<GCamera:MicroVideo>1</GCamera:MicroVideo></rdf:Description></rdf:RDF></x:xmpmeta>"
)


def test_the_fields_of_the_film_go_and_the_others_stay():
    assert has_film(b"", XMP)
    left = without_film(XMP)
    assert not has_film(b"", left)
    for word in ("MotionPhoto", "MicroVideo", "Container:Directory", "video/mp4"):
        assert word not in left
    assert 'dc:format="image/jpeg"' in left
    assert without_film(left) == left
    assert has_film(b"...MotionPhoto_Data...", "")


def test_a_motion_photo_loses_its_film_and_says_so(tmp_path):
    path, stream = tmp_path / "PXL.MP.jpg", io.BytesIO()
    Image.new("RGB", (64, 64), "olive").save(stream, "JPEG", xmp=XMP.encode())
    path.write_bytes(stream.getvalue() + b"\0\0\0\x18ftypmp42film")
    photo = load_photo(path)
    assert photo.notes == ("the film of this Motion Photo is left out",)
    save_photo(tmp_path / "out.jpg", photo, photo.stored_HWC, {"tool": "facediff"})
    saved = (tmp_path / "out.jpg").read_bytes()
    assert b"MotionPhoto" not in saved
    assert b"film" not in saved
    assert load_photo(tmp_path / "out.jpg").notes == ()
    plain = io.BytesIO()
    Image.new("RGB", (8, 8)).save(plain, "JPEG")
    assert b"MotionPhoto" not in embed_provenance(plain.getvalue(), {"tool": "facediff"}, XMP.encode())
