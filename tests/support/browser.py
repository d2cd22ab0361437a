"""Drive a page in Chromium (Qt WebEngine) by keys alone. A program of its own: Qt wants a process to itself.

``python browser.py URL KEYS FOLDER``: KEYS is a JSON list of key names, pressed one after another, each when the page
has settled after the last. Prints a JSON list of what the
page looked like before each key and at the end, and writes a screenshot of each as FOLDER/NUMBER.png.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"
os.environ["QTWEBENGINE_CHROMIUM_FLAGS"] = "--no-sandbox --disable-gpu"

from PySide6.QtCore import QEventLoop, Qt, QTimer, QUrl
from PySide6.QtTest import QTest
from PySide6.QtWebEngineCore import QWebEnginePage, QWebEngineProfile
from PySide6.QtWebEngineWidgets import QWebEngineView
from PySide6.QtWidgets import QApplication

PHONE_PX = (375, 667)
SETTLE_MS = 150
LOOK = """JSON.stringify({
  heading: document.getElementById("heading").textContent,
  text: document.body.innerText,
  focused: document.activeElement.id || document.activeElement.textContent,
  outline: getComputedStyle(document.activeElement).outlineWidth,
  size: [document.documentElement.scrollWidth, document.documentElement.scrollHeight],
  pictures: [...document.images].map((image) => image.complete && image.naturalWidth > 0 && Boolean(image.alt)),
  buttons: [...document.querySelectorAll("button")].map((button) => button.getBoundingClientRect().height),
})"""


class Page(QWebEnginePage):
    """A page that remembers what it complained about."""

    def __init__(self, profile: QWebEngineProfile, parent: QWebEngineView) -> None:
        super().__init__(profile, parent)
        self.complaints: list[str] = []

    def javaScriptConsoleMessage(self, _level: object, message: str, line: int, source: str) -> None:
        self.complaints.append(f"{source}:{line}: {message}")


def wait(milliseconds: int) -> None:
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def look(page: Page) -> dict[str, object]:
    found: list[str] = []
    loop = QEventLoop()
    page.runJavaScript(LOOK, lambda value: (found.append(value), loop.quit()))
    QTimer.singleShot(10_000, loop.quit)
    loop.exec()
    return json.loads(found[0])


def main(url: str, keys: list[str], folder: Path) -> None:
    app = QApplication([sys.argv[0]])
    view = QWebEngineView()
    profile = QWebEngineProfile(view)  # without a name: nothing of it is kept
    page = Page(profile, view)
    view.setPage(page)
    view.resize(*PHONE_PX)
    view.show()
    profile.downloadRequested.connect(lambda item: (item.setDownloadDirectory(str(folder)), item.accept()))
    loop = QEventLoop()
    page.loadFinished.connect(loop.quit)
    page.load(QUrl(url))
    loop.exec()
    seen = []
    for number, key in enumerate([*keys, None]):
        wait(SETTLE_MS)
        seen.append(look(page))
        view.grab().save(str(folder / f"{number:02d}.png"))
        if key is not None:
            QTest.keyClick(view.focusProxy(), getattr(Qt.Key, f"Key_{key}"))
    wait(SETTLE_MS)
    print(json.dumps({"seen": seen, "complaints": page.complaints}), flush=True)
    view.setPage(None)
    page.deleteLater()
    app.processEvents()


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3]))
