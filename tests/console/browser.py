"""A Chromium of its own for the test, and what it is asked to do: go somewhere, press keys, take pictures, and say what its
own console complained about.

What does not belong here: what a page of the console must show.
"""

import base64
import json
import tempfile

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from waiting import WITHIN_S, awaited

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps",
    "--hide-scrollbars", "--lang=en-GB",
)  # fmt: skip
# Height of a picture's window; the whole page is in it however long it is.
HEIGHT = 860
PICTURE_HEIGHT_MAX = 3000


class Browser:
    def __init__(self, pictures):
        self.pictures = pictures
        self._profile = tempfile.TemporaryDirectory(prefix="console-profile-", ignore_cleanup_errors=True)
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for flag in (*FLAGS, f"--user-data-dir={self._profile.name}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))
        self.driver.set_script_timeout(60)
        self._width = 1280

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.driver.quit()
        self._profile.cleanup()

    def open(self, url):
        self.driver.get(url)

    def before_loading(self, script):
        """Runs the script in each page that is loaded from now on, before its own. Gives what ends that."""
        added = self.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
        return lambda: self.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)

    def width(self, width):
        self._width = width
        self._window(HEIGHT)

    def _window(self, height):
        metrics = {"width": self._width, "height": height, "deviceScaleFactor": 1, "mobile": self._width < 720}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def colours(self, scheme, still=True):
        """What the system is said to prefer: light or dark, and no motion."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        features += [{"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def picture(self, name):
        """The whole page, as PNG."""
        self._window(min(PICTURE_HEIGHT_MAX, self.run("return document.documentElement.scrollHeight")))
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
        (self.pictures / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))
        self._window(HEIGHT)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        """The element that is there, or comes."""
        return awaited(f"{selector} is on the page", lambda: self.all(selector))[0]

    def text(self, selector):
        """Its text as it stands, or nothing; read in one step, since the page changes it at any time."""
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def shows(self, selector, words, within=WITHIN_S):
        """Waits until the element says this, whatever the case."""
        said = lambda: words.lower() in self.text(selector).lower()  # noqa: E731
        try:
            awaited(f"{selector} says {words!r}", said, within)
        except AssertionError as late:
            raise AssertionError(f"{late}; it says {self.text(selector)!r}") from None

    def keys(self, *keys):
        """Presses keys wherever the focus is."""
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def tab(self):
        """Moves the focus on, and says where it is: tag, accessible name, and whether it can be seen there."""
        webdriver.ActionChains(self.driver).send_keys(Keys.TAB).perform()
        return self.run(
            """const at = document.activeElement; const style = getComputedStyle(at);
            const name = at.getAttribute('aria-label') || at.labels?.[0]?.innerText || at.innerText || at.title || '';
            const inside = at.matches('.segmented input') ? getComputedStyle(at.nextElementSibling) : style;
            return [at.tagName, name.trim(), inside.outlineStyle !== 'none' && parseFloat(inside.outlineWidth) >= 2]"""
        )

    def errors(self):
        """What the browser's own console says since the last call."""
        return [f"{entry['level']}: {entry['message']}" for entry in self.driver.get_log("browser")]

    def accessibility(self, axe):
        """What axe finds wrong with the page as it stands: rule, how bad, and where."""
        self.run(axe)
        found = self.driver.execute_async_script(
            """const done = arguments[0];
            axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => done(JSON.stringify(
              violations.map(({ id, impact, nodes }) => [id, impact, nodes.slice(0, 4).map((n) => n.target.join(' ') + ': ' + n.failureSummary)]))),
              (error) => done(JSON.stringify([[String(error)]])))"""
        )
        return json.loads(found)

    def sideways(self):
        """By how many pixels the page is wider than its window."""
        return self.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
