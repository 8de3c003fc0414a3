from crewai.tools import BaseTool
from pydantic import BaseModel, Field


class SearchInput(BaseModel):
    """What web_search takes."""

    query: str = Field(..., description="What to look for.")


class WebSearch(BaseTool):
    name: str = "web_search"
    description: str = "Searches the web."
    args_schema: type[BaseModel] = SearchInput

    def _run(self, query: str) -> str:
        print(f"searching {query}")
        if "broken" in query:
            raise RuntimeError("the search is down")
        return "Agents need isolation."
