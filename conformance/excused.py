"""Tests of the yardstick that cannot pass against the paper exchange, each with its reason."""

_FUTURES = (
    "test_async_client::test_futures_index_price_klines",
    "test_async_client::test_futures_mark_price_klines",
    "test_async_client::test_futures_premium_index_klines",
    "test_streams::test_socket_stopped_on_aexit_futures",
    "test_ws_api::test_ws_futures_private_endpoint",
    "test_ws_api::test_ws_futures_public_endpoint",
)

_WALLET = (
    "test_async_client::test_get_system_status",
    "test_client::test_get_system_status",
)

_BROKEN = ("test_async_client::test_handle_response",)

EXCUSED: dict[str, str] = {
    **dict.fromkeys(_FUTURES, "futures are not traded here"),
    **dict.fromkeys(_WALLET, "it asks the wallet API of the live venue, whatever the client was told"),
    **dict.fromkeys(_BROKEN, "it builds an answer of aiohttp in a way that the present aiohttp refuses"),
}
