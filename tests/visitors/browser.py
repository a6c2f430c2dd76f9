"""Visits the demo with a headless Chromium: browser.py URL. Exit code 77: there is no browser here.

Every request that the pages make by themselves must succeed, nothing may complain on the console, and images and style
must have arrived. The browser: $RINGGATE_TEST_BROWSER, a Chromium of the distribution, or one that playwright installed.
"""

import os
import re
import shutil
import sys

from playwright.sync_api import Error, expect, sync_playwright

URL = sys.argv[1]
NO_BROWSER = 77
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def launch(playwright):
    named = os.environ.get("RINGGATE_TEST_BROWSER")
    found = named or next(filter(None, map(shutil.which, NAMES)), None)
    try:
        # Its own sandbox needs what containers do not have; it visits nothing but our server.
        return playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
    except Error as error:
        if named:
            raise
        print(error, file=sys.stderr)
        sys.exit(NO_BROWSER)


def buy(page):
    page.goto(URL + "/")
    assert page.evaluate("document.styleSheets[0].cssRules.length") > 0, "the style sheet is empty"
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth)"), "an image is missing"
    page.goto(URL + "/products/key-ring/")
    page.click("form[action*='/basket/add/'] button")
    page.goto(URL + "/basket/")
    expect(page.locator("main")).to_contain_text("Key ring")
    page.goto(URL + "/accounts/login/")
    page.fill("[name=username]", "demo")
    page.fill("[name=password]", "demo")
    page.click("main button")
    page.goto(URL + "/basket/")
    page.click("main form button")
    page.goto(URL + "/orders/")
    expect(page.locator("main")).to_contain_text("Key ring")


def administer(page):
    """Django's admin is the part with scripts."""
    page.goto(URL + "/admin/catalog/product/")
    expect(page.locator("#result_list")).to_contain_text("Key ring")
    page.click("#result_list tbody th a >> nth=0")
    expect(page.locator("#content h1")).to_have_text(re.compile("Change product"))


def upload(page):
    page.goto(URL + "/flask/")
    page.set_input_files("[name=file]", {"name": "f.bin", "mimeType": "application/octet-stream", "buffer": b"\1" * 3_000_000})
    page.click("text=Upload >> nth=-1")
    expect(page.locator("p >> nth=0")).to_contain_text("3000000 bytes")


def reload_from_cache(page):
    """The second visit costs no bytes of what has not changed."""
    answers = []
    page.on("response", lambda response: answers.append(response))
    page.goto(URL + "/")
    page.reload()
    static = [answer.status for answer in answers if "/static/" in answer.url]
    assert static and set(static) <= {200, 304}, static


with sync_playwright() as playwright:
    browser = launch(playwright)
    page = browser.new_page()
    complaints = []
    # Aborted is what the browser itself gave up, because the visit went on to the next page. A connection that broke has another name.
    page.on("requestfailed", lambda request: request.failure == "net::ERR_ABORTED" or complaints.append(f"{request.url}: {request.failure}"))
    page.on("response", lambda response: response.status >= 400 and complaints.append(f"{response.url}: {response.status}"))
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    for visit in (buy, administer, upload, reload_from_cache):
        visit(page)
    browser.close()
assert not complaints, "\n".join(complaints)
print("ok")
