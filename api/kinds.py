"""Every problem this service answers with, by its stable code, in Russian and in English.

Codes are for programs, texts for people. Braces are filled with the parameters that came with the problem. A code keeps
its meaning for ever: a new meaning is a new code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from api.texts import Text


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of problem: the HTTP status, a title that never varies, and what to tell of this occurrence."""

    status: int
    title: Text
    detail: Text


KINDS: Mapping[str, Kind] = {
    "malformed_json": Kind(
        400,
        Text("The body is not JSON", "Тело запроса — не JSON"),
        Text("{reason}; send one UTF-8 JSON object", "{reason}; пришлите один объект JSON в UTF-8"),
    ),
    "bad_request": Kind(
        400,
        Text("The request cannot be read", "Запрос не удаётся прочитать"),
        Text("{reason}", "{reason}"),
    ),
    "unauthorized": Kind(
        401,
        Text("No valid token", "Нет действующего токена"),
        Text(
            "{reason}; send 'Authorization: Bearer <token>' with a token that is in force",
            "{reason}; пришлите заголовок 'Authorization: Bearer <токен>' с действующим токеном",
        ),
    ),
    "forbidden": Kind(
        403,
        Text("The token may not do this", "Токену это не разрешено"),
        Text(
            "role {role} may not do this; it takes one of: {allowed}",
            "роли {role} это не разрешено; нужна одна из: {allowed}",
        ),
    ),
    "insufficient_scope": Kind(
        403,
        Text("The token's scopes do not allow this", "Областей токена (scope) для этого недостаточно"),
        Text("this takes scope {scope}", "нужна область {scope}"),
    ),
    "not_found": Kind(
        404,
        Text("Not found", "Не найдено"),
        Text("there is nothing at {what}; check the address", "по адресу {what} ничего нет; проверьте адрес"),
    ),
    "point_not_found": Kind(
        404,
        Text("No such metering point", "Такой точки учёта нет"),
        Text(
            "no metering point {point} is visible to this token; GET /api/v1/points lists those that are",
            "точка учёта {point} этому токену не видна; список видимых даёт GET /api/v1/points",
        ),
    ),
    "no_such_thing": Kind(
        404,
        Text("There is no such thing in the fleet", "Такого в хозяйстве нет"),
        Text("{reason}", "{reason}"),
    ),
    "method_not_allowed": Kind(
        405,
        Text("Method not allowed", "Метод не поддерживается"),
        Text(
            "{method} is not served here; allowed: {allowed}", "метод {method} здесь не поддерживается; есть: {allowed}"
        ),
    ),
    "doubtful": Kind(
        409,
        Text("The reading is doubtful", "Показание вызывает сомнение"),
        Text(
            'nothing was stored; check the display, then send the same with "confirm": true to store it as suspect',
            'ничего не сохранено; сверьтесь с прибором и пришлите то же с "confirm": true — показание будет сохранено'
            " как недостоверное",
        ),
    ),
    "no_meter": Kind(
        409,
        Text("No meter at the point", "На точке нет прибора учёта"),
        Text(
            "no meter stood at {point} at {taken_at}; check taken_at",
            "на точке {point} в момент {taken_at} не было прибора учёта; проверьте taken_at",
        ),
    ),
    "still_running": Kind(
        409,
        Text("The first request still runs", "Первый запрос ещё выполняется"),
        Text(
            "a request with this Idempotency-Key still runs; repeat it in {seconds} s",
            "запрос с этим Idempotency-Key ещё выполняется; повторите через {seconds} с",
        ),
    ),
    "conflict": Kind(
        409,
        Text("It contradicts what is stored", "Противоречит сохранённому"),
        Text("{reason}", "{reason}"),
    ),
    "too_large": Kind(
        413,
        Text("The body is too large", "Тело запроса слишком велико"),
        Text("send at most {limit} bytes", "пришлите не больше {limit} байт"),
    ),
    "too_many_photos": Kind(
        409,
        Text("The entry has enough photos", "У этого показания достаточно фотографий"),
        Text(
            "the readings of {taken_at} have {most} photos already; nothing was stored",
            "у показаний за {taken_at} уже есть {most} фотографий; ничего не сохранено",
        ),
    ),
    "contract_over": Kind(
        409,
        Text("The contract is over", "Договор не действует"),
        Text(
            "the contract at {point} is not in force now; what was read during it can still be seen",
            "договор по точке {point} сейчас не действует; показания за время договора остаются доступны",
        ),
    ),
    "wrong_state": Kind(
        409,
        Text("The request has moved on", "Состояние запроса уже другое"),
        Text(
            "request {number} is {state}; from there it can only become: {moves}",
            "запрос {number} в состоянии {state}; дальше возможно только: {moves}",
        ),
    ),
    "unsupported_media_type": Kind(
        415,
        Text("The body is of another type", "Тело запроса другого типа"),
        Text(
            "Content-Type {value} is not taken here; send one of: {types}",
            "Content-Type {value} здесь не принимается; пришлите один из: {types}",
        ),
    ),
    "invalid_request": Kind(
        422,
        Text("The request has wrong fields", "В запросе неверные поля"),
        Text("{first}", "{first}"),
    ),
    "quarantined": Kind(
        422,
        Text("The reading could not be taken", "Показание не принято"),
        Text("{reason}", "{reason}"),
    ),
    "key_reused": Kind(
        422,
        Text("The key belongs to another request", "Ключ принадлежит другому запросу"),
        Text(
            "this Idempotency-Key came before with another address or body; choose a new key for a new request",
            "этот Idempotency-Key уже приходил с другим адресом или телом; для нового запроса возьмите новый ключ",
        ),
    ),
    "too_many_requests": Kind(
        429,
        Text("Too many requests", "Слишком много запросов"),
        Text("try again in {seconds} s", "повторите через {seconds} с"),
    ),
    "asked_too_often": Kind(
        429,
        Text("Too many readings were asked for", "Слишком много запросов показаний"),
        Text(
            "{most} readings were asked for in 24 hours; the next can be asked for in {seconds} s",
            "за сутки уже запрошено {most} показаний; следующее можно запросить через {seconds} с",
        ),
    ),
    "asked_too_much": Kind(
        429,
        Text("Too many readings are being taken", "Слишком много незавершённых запросов показаний"),
        Text(
            "{most} of your requests are open; wait for one to end, or try again in {seconds} s",
            "не завершено {most} ваших запросов; дождитесь ответа или повторите через {seconds} с",
        ),
    ),
    "too_many_streams": Kind(
        429,
        Text("Too many streams are open", "Открыто слишком много потоков событий"),
        Text(
            "close one of your {most} streams of events, or try again in {seconds} s",
            "закройте один из {most} потоков событий или повторите через {seconds} с",
        ),
    ),
    "internal": Kind(
        500,
        Text("A fault of ours", "Наша ошибка"),
        Text(
            "the request was not fulfilled because of a fault in the service; it is logged under {reference}",
            "запрос не выполнен из-за ошибки сервиса; она записана в журнал под номером {reference}",
        ),
    ),
    "unavailable": Kind(
        503,
        Text("Not available just now", "Сейчас недоступно"),
        Text(
            "the service cannot reach its storage; try again in {seconds} s",
            "хранилище сейчас недоступно; повторите через {seconds} с",
        ),
    ),
    "fleet_busy": Kind(
        503,
        Text("The fleet is being changed", "Хозяйство сейчас меняют"),
        Text(
            "{who} is changing the fleet{since}; nothing was changed, try again in {seconds} s",
            "хозяйство сейчас меняет {who}{since}; ничего не изменено, повторите через {seconds} с",
        ),
    ),
    "too_many_files": Kind(
        503,
        Text("Too many files at once", "Слишком много файлов сразу"),
        Text(
            "other workbooks and documents are being made just now; try again in {seconds} s, or ask for CSV",
            "сейчас готовятся другие книги и документы; повторите через {seconds} с или возьмите CSV",
        ),
    ),
    "too_slow": Kind(
        503,
        Text("It took too long", "Запрос выполнялся слишком долго"),
        Text(
            "the request was stopped because it took too long; ask for a shorter range or try again in {seconds} s",
            "запрос остановлен, потому что выполнялся слишком долго; возьмите более короткий период или повторите через"
            " {seconds} с",
        ),
    ),
    "not_ready": Kind(
        503,
        Text("Not ready", "Не готов"),
        Text("not ready: {reason}", "не готов: {reason}"),
    ),
}
"""Every problem this service answers with, by its stable code."""
