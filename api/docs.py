"""The interactive documentation, served whole from this process: it works where there is no internet."""

from __future__ import annotations

from functools import cache
from importlib import resources

from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html

from api.problems import Problem

router = APIRouter(include_in_schema=False)
_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon-32x32.png": "image/png",
}


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Swagger UI over our OpenAPI document."""
    root = request.scope.get("root_path", "").rstrip("/")
    return get_swagger_ui_html(
        openapi_url=f"{root}{request.app.openapi_url}",
        title=request.app.title,
        swagger_js_url=f"{root}/docs/swagger-ui-bundle.js",
        swagger_css_url=f"{root}/docs/swagger-ui.css",
        swagger_favicon_url=f"{root}/docs/favicon-32x32.png",
        swagger_ui_parameters={"tryItOutEnabled": True, "persistAuthorization": True},
    )


@router.get("/docs/{name}")
async def asset(name: str) -> Response:
    """One of Swagger UI's files, from the package that carries them."""
    if name not in _ASSETS:
        raise Problem("not_found", what=f"/docs/{name[:80]}")
    return Response(_read(name), media_type=_ASSETS[name], headers={"Cache-Control": "public, max-age=86400"})


@cache
def _read(name: str) -> bytes:
    return resources.files("fastapi_swagger").joinpath("resources", name).read_bytes()
