# SPDX-License-Identifier: Apache-2.0
"""Named garden lists: the browser-side hosts of payment gateways, one row each. Pure data.

Source of every row: the vendors' published domain lists, read in 2026-11. ``*.name`` is any
depth below the name, ``.name`` is the name and all below it. Hosts that also carry connectivity probes (www.google.com,
www.gstatic.com) are left out on purpose: opening them hides the page from phones.
"""

from __future__ import annotations

PRESETS: dict[str, tuple[str, ...]] = {
    # published domain list; hCaptcha guards Stripe's own forms
    "stripe": (".stripe.com", ".stripe.network", ".stripecdn.com", ".hcaptcha.com"),
    # the two zones that every integration guide names
    "paypal": (".paypal.com", ".paypalobjects.com"),
    # vendor's domain page
    "braintree": (".braintreegateway.com", "payments.braintree-api.com"),
    # vendor's domain page; 3-D Secure through Cardinal
    "square": (".squarecdn.com", ".squareup.com", "geoissuer.cardinalcommerce.com"),
    # vendor says: allow by name, never by address
    "worldpay": ("access.worldpay.com",),
    # vendor's domain page
    "sumup": ("checkout.sumup.com", "gateway.sumup.com", "api.sumup.com", "js.sumup.com", "static.sumup.com"),
    # from public content-security policies of shops
    "razorpay": (
        "checkout.razorpay.com",
        "api.razorpay.com",
        "cdn.razorpay.com",
        "lumberjack.razorpay.com",
        "lumberjack-cx.razorpay.com",
    ),
    # from public content-security policies of shops
    "paystack": (
        "js.paystack.co",
        "api.paystack.co",
        "standard.paystack.co",
        "checkout.paystack.com",
        "paystack.com",
    ),
    # from public content-security policies of shops
    "flutterwave": ("checkout.flutterwave.com", "api.flutterwave.com"),
    # vendor's domain page and an integrator's list
    "maya": ("pg.maya.ph", "payments.maya.ph", "payments.paymaya.com", ".gcash.com"),
}
