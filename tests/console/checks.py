"""What holds for every view: it is pictured at two widths in two colour schemes, breaks no rule of accessibility, is no wider
than its window, can be walked through with the tab key, and the browser complains about nothing.

What does not belong here: what a single view shows.
"""

WIDTHS = (1280, 400)
SCHEMES = ("light", "dark")
# More stops than any view has.
STOPS_MAX = 150


class Checks:
    def __init__(self, browser, axe):
        self.browser, self.axe = browser, axe
        # A resource that these nodes do not have: the page says so, and the browser notes each 404.
        self.not_there = None

    def view(self, name):
        """Pictures of the view as it stands, and the rules."""
        for width in WIDTHS:
            for scheme in SCHEMES:
                self.browser.width(width)
                self.browser.colours(scheme)
                over = self.browser.sideways()
                assert over <= 0, f"{name} is {over} pixels wider than a window of {width}"
                wrong = self.browser.accessibility(self.axe)
                assert not wrong, f"{name} at {width}, {scheme}: {wrong}"
                self.browser.picture(f"{name}-{width}-{scheme}")
        self.browser.width(WIDTHS[0])
        self.browser.colours(SCHEMES[0])

    def picture(self, name, width):
        self.browser.width(width)
        wrong = self.browser.accessibility(self.axe)
        assert not wrong, f"{name}: {wrong}"
        self.browser.picture(name)

    def walk(self, view):
        """Tabs through the whole page, from its first stop to its last."""
        self.browser.run("document.querySelector('.skip').focus()")
        stops = ["Skip to the content"]
        for _ in range(STOPS_MAX):
            tag, name, outlined = self.browser.tab()
            if tag == "BODY" or name == stops[0]:
                break
            stops.append(name)
            assert name, f"{view}: a {tag} after {stops} has no name"
            assert outlined, f"{view}: {name!r} does not show that it has the focus"
        else:
            raise AssertionError(f"{view}: the tab key does not come around: {stops}")
        for wanted in ("Cluster", "Look-up", "Clients", "Access", "Quota", "Sign out"):
            assert wanted in stops, f"{view}: the tab key does not reach {wanted!r}, only {stops}"

    def complaints(self, expected):
        """Since the last call the browser complained about such answers, and about nothing else."""
        found = self._errors()
        assert found, f"the browser says nothing about an answer of {expected}"
        assert all(expected in line for line in found), found

    def no_complaints(self):
        found = self._errors()
        assert not found, found

    def _errors(self):
        noted = f"/api/v1/{self.not_there} - Failed to load resource: the server responded with a status of 404"
        return [line for line in self.browser.errors() if noted not in line]
