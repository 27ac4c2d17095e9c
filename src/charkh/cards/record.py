"""Record a card, and read its text again."""

from charkh.cards.card import MADE_KIND, MAX_FINDINGS, MAX_TITLE, Card, CardMade
from charkh.cards.index import CardById, CardOf
from charkh.cards.lint import is_complete, lint
from charkh.core.digests import digest_of
from charkh.core.errors import Bug, NotFound
from charkh.core.events import Draft, Edge
from charkh.core.ids import new_id
from charkh.core.redact import redact
from charkh.core.refs import parse_subject
from charkh.ports.projections import Describe
from charkh.ports.store import Store

ERASED = "card.erased"


def record_card(store: Store, about: str, markdown: str) -> Card:
    """Record the text of a card; the text that is already the newest gives the card that is there.

    Args:
        store: where it goes.
        about: the model or dataset version, `noun:id`.
        markdown: the text; what looks like a credential is taken out.

    Raises:
        NotFound: nobody knows the subject.
        Invalid: no cards are made of that noun, or the text is too long.
    """
    subject = parse_subject(about)
    findings = lint(markdown, subject.noun)
    description = store.queries.ask(Describe(subject=about))
    if description is None:
        raise NotFound(f"nothing is known about {about}", code="card.no_subject", hint="Name a registered version.")
    text = redact(markdown).encode()
    newest = store.queries.ask(CardOf(about=about))
    if newest is not None and newest.made.markdown.digest == digest_of(text) and newest.made.findings == findings:
        return newest
    file = store.vault.put_bytes(text, "card.md")
    store.vault.flush()
    made = CardMade(
        card=new_id(),
        about=about,
        title=description.title[:MAX_TITLE],
        complete=is_complete(findings),
        findings=findings[:MAX_FINDINGS],
        markdown=file,
    )
    store.record(
        Draft(
            kind=MADE_KIND,
            subject=f"card:{made.card}",
            body=made,
            edges=(Edge(f"card:{made.card}", "documents", about),),
            facts={"card.complete": made.complete},
            about=about,
            holds=(file.held,),
        )
    )
    card = store.queries.ask(CardById(card=made.card))
    if card is None:
        raise Bug(f"the card {made.card} that was just made cannot be found")
    return card


def read_markdown(store: Store, card: Card) -> str:
    """The text of a card; where stretches of it were erased, what stands in their place.

    Raises:
        NotFound: its bytes are not here, or all of them were erased (code `card.erased`).
        Corrupt: a chunk is not what its digest says.
    """
    data = b"".join(store.vault.read(card.made.markdown))
    if not data and card.made.markdown.size:
        raise NotFound(
            f"the text of the card of {card.made.title} was erased",
            code=ERASED,
            hint="Make the card again; what people wrote in it is gone.",
        )
    return data.decode(errors="replace")
