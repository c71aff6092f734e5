"""Forms that a page did not expect: a wrong number, and one whose session has ended. Neighbour: `test_pages.py`."""


async def test_a_wrong_number_names_its_field(ann):
    """Past the browser's own check: 400, and the page says which field it is and what it may be; nothing is done."""
    product, _ = await ann.product(stock=20)
    form = [pair for pair in await ann.form(f"/shop/products/{product}", "/shop/basket") if pair[0] != "quantity"]
    for quantity in ("0", "-1", "abc", "1.5", "", "9" * 20, "1000001", "+-1"):
        answer = await ann.post("/shop/orders", [*form, ("quantity", quantity)])
        assert answer.status_code == 400
        assert "Quantity: a whole number from 1 to 1,000,000." in answer.text
    korean = await ann.post("/shop/orders", [*form, ("quantity", "0")], **{"Accept-Language": "ko"})
    assert "수량: 1부터 1,000,000까지의 정수를 넣으세요." in korean.text
    amount = await ann.send("/shop/points", "/shop/points", amount="x")
    assert "Amount: a whole number from 1 to 1,000,000,000,000." in amount.text
    assert await ann.orders() == []


async def test_a_form_of_an_ended_session_leads_back_to_its_page(ann):
    """Sign-in says that nothing was done, and leads to the page on which the form was filled in; the control: no form
    leads to another site."""
    product, _ = await ann.product(stock=20)
    page = f"/shop/products/{product}?from=list"
    form = await ann.form(page, "/shop/basket")
    forged = [("shown_on", "https://evil.example/"), *(pair for pair in form if pair[0] != "shown_on")]
    ann.http.cookies.clear()
    for sent, leads in ((form, page), (forged, "/shop")):
        ended = (await ann.post("/shop/orders", sent)).headers["location"]
        assert ended.startswith("/shop/sign-in?ended=yes")
        assert "what you had sent was not carried out" in (await ann.get(ended)).text
        token = ann.api.state.tokens.issuer.issue("ann", valid_s=60)
        assert (await ann.send(ended, "/shop/sign-in", token=token)).headers["location"] == leads
        ann.http.cookies.clear()
    assert await ann.orders() == []
