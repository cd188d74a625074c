"""Rows as Bybit sends them, for tests to alter."""

from __future__ import annotations


def position(**changes: object) -> dict[str, object]:
    row: dict[str, object] = {
        "positionIdx": 0,
        "symbol": "BTCUSDT",
        "side": "Buy",
        "size": "0.5",
        "avgPrice": "101250.1",
        "markPrice": "101248.73",
        "unrealisedPnl": "-0.685",
        "positionStatus": "Normal",
        "adlRankIndicator": 2,
        "seq": 140612148849382,
        "isReduceOnly": False,
        "createdTime": "1757000000000",
        "updatedTime": "1760000000456",
    }
    return {**row, **changes}


def order(**changes: object) -> dict[str, object]:
    row: dict[str, object] = {
        "category": "linear",
        "symbol": "BTCUSDT",
        "orderId": "9aac161b-8ed6-450d-9cab-c5cc67c21784",
        "orderLinkId": "sp-7f3a-leg0-c1",
        "side": "Sell",
        "positionIdx": 0,
        "orderType": "Market",
        "timeInForce": "IOC",
        "price": "100236.20",
        "qty": "0.003",
        "reduceOnly": True,
        "closeOnTrigger": False,
        "orderStatus": "Filled",
        "cancelType": "UNKNOWN",
        "rejectReason": "EC_NoError",
        "createType": "CreateByUser",
        "avgPrice": "101249.9",
        "leavesQty": "0",
        "cumExecQty": "0.003",
        "cumFeeDetail": {"USDT": "0.16706234"},
        "createdTime": "1760000000349",
        "updatedTime": "1760000000354",
    }
    return {**row, **changes}


def execution(**changes: object) -> dict[str, object]:
    row: dict[str, object] = {
        "category": "linear",
        "symbol": "BTCUSDT",
        "orderId": "9aac161b-8ed6-450d-9cab-c5cc67c21784",
        "orderLinkId": "sp-7f3a-leg0-c1",
        "side": "Sell",
        "orderPrice": "100236.20",
        "orderQty": "0.003",
        "leavesQty": "0",
        "orderType": "Market",
        "createType": "CreateByUser",
        "execId": "0ab1bdf7-4219-438b-b30a-32ec863018f7",
        "execType": "Trade",
        "execPrice": "101249.9",
        "execQty": "0.003",
        "execValue": "303.7497",
        "execFee": "0.16706234",
        "feeRate": "0.00055",
        "feeCurrency": "USDT",
        "closedSize": "0.003",
        "execTime": "1760000000353",
        "isMaker": False,
        "extraFees": "",
        "seq": 140612148849382,
    }
    return {**row, **changes}


def funding(**changes: object) -> dict[str, object]:
    row: dict[str, object] = {
        "execType": "Funding",
        "orderType": "UNKNOWN",
        "orderLinkId": "",
        "orderQty": "0",
        "execQty": "0.5",
        "execFee": "-5.0624365",
        "closedSize": "",
    }
    return execution(**{**row, **changes})


def instrument(**changes: object) -> dict[str, object]:
    row: dict[str, object] = {
        "symbol": "BTCUSDT",
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "baseCoin": "BTC",
        "quoteCoin": "USDT",
        "settleCoin": "USDT",
        "priceFilter": {"minPrice": "0.10", "maxPrice": "1999999.80", "tickSize": "0.10"},
        "lotSizeFilter": {
            "maxOrderQty": "1190.000",
            "minOrderQty": "0.001",
            "qtyStep": "0.001",
            "maxMktOrderQty": "500.000",
            "minNotionalValue": "5",
        },
        "fundingInterval": 480,
        "deliveryTime": "0",
    }
    return {**row, **changes}


def coin(**changes: object) -> dict[str, object]:
    row: dict[str, object] = {
        "coin": "BTC",
        "equity": "0.5",
        "usdValue": "50000",
        "walletBalance": "0.5",
        "locked": "0.1",
        "borrowAmount": "0",
        "spotBorrow": "0",
        "availableToWithdraw": "",
        "unrealisedPnl": "0",
    }
    return {**row, **changes}


def wallet(*coins: object) -> dict[str, object]:
    return {"accountType": "UNIFIED", "totalEquity": "1", "coin": list(coins)}


def delivery(**changes: object) -> dict[str, object]:
    row: dict[str, object] = {
        "deliveryTime": 1760083200000,
        "symbol": "BTC-10OCT25-100000-C",
        "side": "Sell",
        "position": "0.3",
        "entryPrice": "1200",
        "deliveryPrice": "121000.5",
        "strike": "100000",
        "fee": "1.2",
        "deliveryRpl": "-600",
    }
    return {**row, **changes}
