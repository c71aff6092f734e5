"""What happens to a payment through a gateway: opened, claimed, settled, postponed, refunded (docs/adr/0022).

Neighbours: `shop.payments` asks the gateway between a claim and its settlement; `commands.pay_order` pays with points.
"""
