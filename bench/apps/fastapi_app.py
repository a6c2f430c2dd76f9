"""FastAPI as people write it: a query parameter, a dependency, an answer checked by a pydantic model."""

from typing import Annotated

from fastapi import Depends, FastAPI
from pydantic import BaseModel

app = FastAPI()


class Item(BaseModel):
    name: str
    price: float
    tags: list[str] = []


async def currency() -> str:
    return "EUR"


@app.get("/")
async def index(unit: Annotated[str, Depends(currency)], limit: int = 3) -> list[Item]:
    return [Item(name=f"item {number}", price=number * 1.5, tags=[unit, "new"]) for number in range(limit)]
