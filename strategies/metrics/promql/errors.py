"""What is wrong with a query, and where."""

from __future__ import annotations


class PromqlError(ValueError):
    """A query that does not parse, uses what is not supported, or cannot be evaluated.

    `start` and `end` are offsets into the text of the query, for the caret under the fault.
    """

    def __init__(self, problem: str, start: int, end: int) -> None:
        super().__init__(problem, start, end)
        self.problem = problem
        self.start = start
        self.end = end

    def __str__(self) -> str:
        return self.problem
