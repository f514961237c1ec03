"""An order desk: an in-memory SQLite database, tools that work on it, and a check of its state."""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, Final, final

_SETUP: Final = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT UNIQUE, city TEXT);
CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT UNIQUE, stock INTEGER);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER, product INTEGER, count INTEGER,
                     status TEXT);
INSERT INTO customers VALUES (1, 'Ada Byrne', 'Cork'), (2, 'Ben Osei', 'Leeds'),
    (3, 'Chloe Roux', 'Lyon'), (4, 'Dan Katz', 'Graz'), (5, 'Eva Lund', 'Oslo');
INSERT INTO products VALUES (1, 'desk lamp', 8), (2, 'oak shelf', 3), (3, 'wool rug', 5),
    (4, 'tea set', 12), (5, 'wall clock', 1);
INSERT INTO orders VALUES (11, 1, 1, 1, 'open'), (12, 1, 3, 1, 'open'), (13, 2, 2, 1, 'shipped'),
    (14, 3, 4, 2, 'open'), (15, 4, 3, 2, 'open'), (16, 4, 5, 1, 'open'), (17, 5, 1, 1, 'open');
"""
_TABLES: Final = ("customers", "products", "orders")

Row = tuple[str, int]
"""Table and id."""


class Refused(Exception):
    """A tool call that the desk does not carry out; the message is what the agent reads."""


@final
class Shop:
    """One desk, fresh for every trajectory."""

    def __init__(self) -> None:
        self._db = sqlite3.connect(":memory:")
        self._db.executescript(_SETUP)

    def call(self, name: str, arguments: str) -> str:
        """Returns what the tool answers; every refusal starts with "Error:" and changes nothing."""
        try:
            tool, wants = _TOOLS[name]
            given = json.loads(arguments)
            if not isinstance(given, dict) or {k: type(v) for k, v in given.items()} != wants:
                raise Refused(
                    f"{name} takes {', '.join(f'{k}: {t.__name__}' for k, t in wants.items())}"
                )
            with self._db:
                return json.dumps(tool(self, **given), separators=(",", ":"))
        except KeyError:
            return f"Error: no tool {name}"
        except json.JSONDecodeError:
            return "Error: arguments are not JSON"
        except Refused as refusal:
            return f"Error: {refusal}"

    def rows(self) -> dict[Row, tuple[Any, ...]]:
        """Returns every row of the database, by table and id."""
        return {
            (table, row[0]): row[1:]
            for table in _TABLES
            for row in self._db.execute(f"SELECT * FROM {table} ORDER BY id")
        }

    def state_key(self) -> str:
        """Returns 8 hex digits that two desks share if their databases are equal."""
        text = repr(sorted(self.rows().items()))
        return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()

    def _one(self, what: str, query: str, *values: Any) -> tuple[Any, ...]:
        row = self._db.execute(query, values).fetchone()
        if row is None:
            raise Refused(f"no {what} {values[0]}")
        return row

    def find_customer(self, name: str) -> dict[str, Any]:
        """Looks a customer up by full name."""
        row = self._one("customer", "SELECT id, city FROM customers WHERE name = ?", name)
        return {"customer": row[0], "city": row[1]}

    def find_product(self, name: str) -> dict[str, Any]:
        """Looks a product up by name."""
        row = self._one("product", "SELECT id, stock FROM products WHERE name = ?", name)
        return {"product": row[0], "stock": row[1]}

    def list_orders(self, customer: int) -> list[tuple[Any, ...]]:
        """Lists the orders of a customer: number, product, count, status."""
        self._one("customer", "SELECT id FROM customers WHERE id = ?", customer)
        rows = self._db.execute(
            "SELECT orders.id, products.name, count, status FROM orders "
            "JOIN products ON products.id = product WHERE customer = ? ORDER BY orders.id",
            (customer,),
        )
        return rows.fetchall()

    def cancel_order(self, order: int) -> dict[str, Any]:
        """Cancels an open order and puts its items back."""
        product, count = self._open(order)
        self._take(product, -count)
        self._db.execute("UPDATE orders SET status = 'cancelled' WHERE id = ?", (order,))
        return {"order": order, "status": "cancelled"}

    def change_count(self, order: int, count: int) -> dict[str, Any]:
        """Changes how many items an open order has."""
        product, before = self._open(order)
        self._take(product, count - before)
        self._db.execute("UPDATE orders SET count = ? WHERE id = ?", (count, order))
        return {"order": order, "count": count}

    def open_return(self, order: int) -> dict[str, Any]:
        """Opens a return for a shipped order."""
        (status,) = self._one("order", "SELECT status FROM orders WHERE id = ?", order)
        if status != "shipped":
            raise Refused(f"order {order} is {status}")
        self._db.execute("UPDATE orders SET status = 'returning' WHERE id = ?", (order,))
        return {"order": order, "status": "returning"}

    def place_order(self, customer: int, product: int, count: int) -> dict[str, Any]:
        """Places an order for what is in stock."""
        self._one("customer", "SELECT id FROM customers WHERE id = ?", customer)
        self._take(product, count)
        return self._insert(customer, product, count, "open")

    def back_order(self, customer: int, product: int, count: int) -> dict[str, Any]:
        """Orders more than is in stock; nothing is taken from it yet."""
        self._one("customer", "SELECT id FROM customers WHERE id = ?", customer)
        self._one("product", "SELECT id FROM products WHERE id = ?", product)
        return self._insert(customer, product, count, "waiting")

    def set_city(self, customer: int, city: str) -> dict[str, Any]:
        """Changes the city of a customer."""
        self._one("customer", "SELECT id FROM customers WHERE id = ?", customer)
        self._db.execute("UPDATE customers SET city = ? WHERE id = ?", (city, customer))
        return {"customer": customer, "city": city}

    def _open(self, order: int) -> tuple[int, int]:
        query = "SELECT product, count, status FROM orders WHERE id = ?"
        product, count, status = self._one("order", query, order)
        if status != "open":
            raise Refused(f"order {order} is {status}")
        return product, count

    def _take(self, product: int, count: int) -> None:
        query = "SELECT stock FROM products WHERE id = ?"
        (stock,) = self._one("product", query, product)
        if count > stock:
            raise Refused(f"only {stock} in stock")
        self._db.execute("UPDATE products SET stock = stock - ? WHERE id = ?", (count, product))

    def _insert(self, customer: int, product: int, count: int, status: str) -> dict[str, Any]:
        values = (customer, product, count, status)
        cursor = self._db.execute("INSERT INTO orders VALUES (NULL, ?, ?, ?, ?)", values)
        return {"order": cursor.lastrowid, "status": status}


_TOOLS: Final[Mapping[str, tuple[Callable[..., Any], Mapping[str, type]]]] = {
    "find_customer": (Shop.find_customer, {"name": str}),
    "find_product": (Shop.find_product, {"name": str}),
    "list_orders": (Shop.list_orders, {"customer": int}),
    "cancel_order": (Shop.cancel_order, {"order": int}),
    "change_count": (Shop.change_count, {"order": int, "count": int}),
    "open_return": (Shop.open_return, {"order": int}),
    "place_order": (Shop.place_order, {"customer": int, "product": int, "count": int}),
    "back_order": (Shop.back_order, {"customer": int, "product": int, "count": int}),
    "set_city": (Shop.set_city, {"customer": int, "city": str}),
}


def scores(
    shop: Shop, goals: Mapping[str, Mapping[Row, tuple[Any, ...] | None]]
) -> dict[str, float]:
    """Returns the score of each goal: 1 if the database is as it asks, else 0.

    The check knows the rows that should have changed, not how. Whoever changed any other row has
    reached no goal.

    Args:
        shop: the desk after the trajectory.
        goals: per goal, the rows that it asks for; a product's row is only named, because its stock
            follows from the orders.
    """
    before, after = Shop().rows(), shop.rows()
    changed = {row for row in before.keys() | after.keys() if before.get(row) != after.get(row)}
    allowed = {row for rows in goals.values() for row in rows}
    if changed - allowed:
        return dict.fromkeys(goals, 0.0)
    return {
        name: float(all(want is None or after.get(row) == want for row, want in rows.items()))
        for name, rows in goals.items()
    }
