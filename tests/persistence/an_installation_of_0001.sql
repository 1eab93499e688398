-- An installation of the first release: one bot in position that has traded, another whose order is in flight.
INSERT INTO users (email, password_hash) VALUES ('ann@example.com', 'hash');
INSERT INTO users (email, password_hash, role, is_disabled) VALUES ('bob@example.com', 'hash', 'admin', true);
INSERT INTO sessions (user_id, token_hash, expires_at) VALUES (1, 'token', now() + interval '1 day');
INSERT INTO api_keys (user_id, label, venue, api_key_hint, sealed, sealed_with)
    VALUES (1, 'main', 'paper', 'k…3f', 'sealed', 'key 1');

INSERT INTO bot_configs (user_id, name, symbol, strategy, strategy_params, timeframe, venue, api_key_id,
    check_interval_seconds, initial_capital, position_size_perc, stop_loss_perc, take_profit_perc,
    trailing_stop_perc, trailing_stop_active, max_daily_trades, reactivate_daily)
    VALUES (1, 'holding', 'BTCUSDT', 'ema', '{"fast": 9, "slow": 21}', '1m', 'paper', 1,
            60, 1000, 10, 2, 4, 1.5, true, 5, true);
INSERT INTO bot_configs (user_id, name, symbol, strategy, timeframe, venue, api_key_id,
    check_interval_seconds, initial_capital, position_size_fixed, stop_loss_perc, take_profit_perc,
    trailing_stop_active, reactivate_daily)
    VALUES (1, 'trading', 'ETHUSDT', 'simple', '5m', 'paper', 1, 30, 500, 0.5, 3, 6, false, false);
INSERT INTO bot_states (bot_id, user_id, version, term, slot, trading_day, is_active, status, in_position,
    entry_price, current_position_size_coins, position_cost_quote, trailing_stop_price, max_price_since_entry,
    take_profit_price, stop_loss_price, daily_pnl, daily_trades_count, orders_made)
    VALUES (1, 1, 9, 3, 1, '2026-01-05', true, 'running', true, 100, 0.4995, 50, 98.5, 100, 104, 98, -1.25, 3, 3);
INSERT INTO bot_states (bot_id, user_id, version, term, slot, trading_day, is_active, status, halted_by,
    last_error_message, close_requested_at, open_order_number, orders_made)
    VALUES (2, 1, 4, 3, 2, '2026-01-05', true, 'error (price fetch)', 'system', 'no price', NULL, 2, 2);
INSERT INTO bot_progress (bot_id, last_run_at) VALUES (1, '2026-01-05 12:00Z'), (2, NULL);

INSERT INTO orders (bot_id, number, user_id, api_key_id, venue, symbol, side, reason, quantity_base,
    quantity_quote, decided_price_quote, client_order_id, intended_at, status, venue_order_id, executed_base,
    executed_quote, error_code, error_message, settled_at)
    VALUES
    (1, 1, 1, 1, 'paper', 'BTCUSDT', 'BUY', 'signal', NULL, 50, 100, 'bw-abc123-1-1', '2026-01-05 11:00Z',
     'filled', 71, 0.5, 50, NULL, NULL, '2026-01-05 11:00:01Z'),
    (1, 2, 1, 1, 'paper', 'BTCUSDT', 'SELL', 'stop_loss', 0.4995, NULL, 98, 'bw-abc123-1-2',
     '2026-01-05 11:30Z', 'filled', 72, 0.4995, 48.951, NULL, NULL, '2026-01-05 11:30:01Z'),
    (1, 3, 1, 1, 'paper', 'BTCUSDT', 'BUY', 'signal', NULL, 50, 100, 'bw-abc123-1-3', '2026-01-05 11:45Z',
     'filled', 73, 0.5, 50, NULL, NULL, '2026-01-05 11:45:01Z'),
    (2, 1, 1, 1, 'paper', 'ETHUSDT', 'BUY', 'signal', 0.5, NULL, 100, 'bw-abc123-2-1', '2026-01-05 11:50Z',
     'rejected', NULL, 0, 0, -2010, 'Account has insufficient balance.', '2026-01-05 11:50:01Z'),
    (2, 2, 1, 1, 'paper', 'ETHUSDT', 'BUY', 'signal', 0.5, NULL, 100, 'bw-abc123-2-2', '2026-01-05 11:59Z',
     'open', NULL, 0, 0, NULL, NULL, NULL);
INSERT INTO fills (order_id, venue_trade_id, bot_id, price_quote, quantity_base, quantity_quote, commission,
    commission_asset, commission_quote, executed_at)
    VALUES
    (1, 1, 1, 100, 0.5, 50, 0.0005, 'BTC', 0.05, '2026-01-05 11:00:01Z'),
    (2, 2, 1, 98, 0.4995, 48.951, 0.048951, 'USDT', 0.048951, '2026-01-05 11:30:01Z'),
    (3, 3, 1, 100, 0.5, 50, 0.0005, 'BTC', 0.05, '2026-01-05 11:45:01Z');
INSERT INTO trades (order_id, bot_id, user_id, symbol, side, reason, price_quote, quantity_base,
    quantity_quote, fee_quote, realised_pnl_quote, executed_at, trading_day)
    VALUES
    (1, 1, 1, 'BTCUSDT', 'BUY', 'signal', 100, 0.5, 50, 0.05, 0, '2026-01-05 11:00:01Z', '2026-01-05'),
    (2, 1, 1, 'BTCUSDT', 'SELL', 'stop_loss', 98, 0.4995, 48.951, 0.048951, -1.25, '2026-01-05 11:30:01Z',
     '2026-01-05'),
    (3, 1, 1, 'BTCUSDT', 'BUY', 'signal', 100, 0.5, 50, 0.05, 0, '2026-01-05 11:45:01Z', '2026-01-05');
INSERT INTO adjustments (bot_id, field, before, after, trading_day, version)
    VALUES (1, 'daily_pnl', 0, 1, '2026-01-04', 2), (1, 'daily_trades_count', 0, 2, '2026-01-04', 2);
INSERT INTO bot_events (at, bot_id, user_id, version, cause, kind, changes, message)
    VALUES
    ('2026-01-05 10:00Z', 1, 1, 1, 'owner', 'bot.created', '{}', NULL),
    (now(), 1, 1, 9, 'strategy', 'trade.booked', '{"in_position": [false, true]}', 'a message');
INSERT INTO daily_resets (day, bots_reset) VALUES ('2026-01-05', 2);
INSERT INTO replicas (name, draining) VALUES ('old', false);
UPDATE slots SET replica_id = 1, term = 3 WHERE slot < 512;
INSERT INTO halts (user_id, set_by) VALUES (2, 2);
INSERT INTO idempotency_keys (user_id, key, request_hash, response_status, response_body, response_type)
    VALUES (1, 'again', 'hash', 200, '{}', 'application/json');
