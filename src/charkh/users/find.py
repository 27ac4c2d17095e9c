"""Find a user by name or id."""

from charkh.core.errors import NotFound
from charkh.ports.store import Store
from charkh.users.index import Users
from charkh.users.user import User


def find_user(store: Store, name: str) -> User:
    """The user of this name or id; of several of one name, the first that was made.

    Raises:
        NotFound: there is none.
    """
    for user in store.queries.ask(Users()):
        if name in {user.name, user.id}:
            return user
    raise NotFound(
        f"there is no user {name[:100]!r}",
        code="user.not_found",
        hint="`charkh user list` shows them all.",
    )


def list_users(store: Store) -> tuple[User, ...]:
    """Every user, in the order in which they were made."""
    return store.queries.ask(Users())
