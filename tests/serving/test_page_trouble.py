"""What goes wrong with a page is said on it, in words."""

import pytest


def broken(heart, folder, name):
    """A copy of the page of heart."""
    copy = folder / name
    (copy / "ort").mkdir(parents=True)
    for path in sorted((folder / "heart").rglob("*")):
        if path.is_file():
            (copy / path.relative_to(folder / "heart")).write_bytes(path.read_bytes())
    return copy, heart[2].replace("/heart/", f"/{name}/")


def damage(copy):
    content = bytearray((copy / "router.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "router.onnx").write_bytes(bytes(content))


TROUBLE = {
    "damaged": (damage, "The model's file is damaged"),
    "no_runtime": (lambda c: (c / "ort" / "ort.wasm.min.mjs").unlink(), "file of the runtime"),
    "no_wasm_file": (
        lambda c: (c / "ort" / "ort-wasm-simd-threaded.wasm").unlink(),
        "file of the runtime",
    ),
    "no_loader": (
        lambda c: (c / "ort" / "ort-wasm-simd-threaded.mjs").unlink(),
        "file of the runtime",
    ),
    "no_plan": (lambda c: (c / "plan.json").unlink(), "missing or unreadable: plan.json"),
    "no_texts": (lambda c: (c / "texts.json").unlink(), "missing or unreadable: texts.json"),
    "no_model": (lambda c: (c / "router.onnx").unlink(), "missing or unreadable: router.onnx"),
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_a_folder_that_is_not_whole(browser, heart, host, trouble):
    change, message = TROUBLE[trouble]
    copy, address = broken(heart, host[0], trouble)
    change(copy)
    page = browser.new_page()
    page.goto(address)
    page.wait_for_selector("#status.problem", timeout=30_000)
    assert message in page.inner_text("#status")
    assert page.is_hidden("#form")
    page.close()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("WebAssembly.validate = () => false", "lacks SIMD"),
        ("delete globalThis.WebAssembly", "has no WebAssembly"),
    ],
)
def test_a_browser_that_cannot(browser, heart, script, message):
    page = browser.new_page()
    page.add_init_script(script)
    page.goto(heart[2])
    page.wait_for_selector("#status.problem", timeout=30_000)
    assert message in page.inner_text("#status")
    page.close()


def test_without_scripts_and_without_a_server(browser, heart, host):
    page = browser.new_page(java_script_enabled=False)
    page.goto(heart[2])
    assert "switched off" in page.inner_text("noscript")
    page.close()
    page = browser.new_page()
    page.goto((host[0] / "heart" / "index.html").as_uri())
    assert "must be opened through a web server" in page.inner_text("#status")
    page.close()
