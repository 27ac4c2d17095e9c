"""Names for runs that nobody named: an adjective, a noun and a number, as MLflow's users are used to."""

import secrets

_ADJECTIVES = """
amber bold brisk calm clever copper crisp curious deep eager early fair fleet gentle glad golden grand hardy humble
keen kind light lively lucid lunar mellow merry mild neat noble patient plain polished prompt quick quiet ready
restful robust royal rustic serene sharp silver simple smooth snowy solar solid spry steady still sturdy subtle
sunny swift tidy upbeat vivid warm wise
"""
_NOUNS = """
acorn almond anchor antelope apricot badger barley beacon birch bison canyon cedar cherry cliff clover comet crane
dove dune eagle elm falcon fern finch fox garden gazelle grove harbor hawk hazel heron hill ibex iris ivy jasmine
lark leopard lily lynx maple meadow mesa olive orchard otter owl pear pine plum pomegranate quail raven reed river
robin saffron sparrow spring stork summit swan thistle tulip valley walnut wheel willow wren
"""


def random_name() -> str:
    """Such as `brisk-walnut-417`."""
    return f"{secrets.choice(_ADJECTIVES.split())}-{secrets.choice(_NOUNS.split())}-{secrets.randbelow(1000)}"
