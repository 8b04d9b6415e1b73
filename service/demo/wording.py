"""The words around the matter: how customers of a locale greet, insist and spell, and what fills the slots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Slots = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Locale:
    """Where a customer writes from: `share` of the traffic, local words, spelling (from US English) and manners."""

    name: str
    share: float
    slots: Slots
    spelling: Mapping[str, str]
    openers: tuple[str, ...]
    closers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tone:
    """A mood: `extras` are the probabilities of adding nought, one, two more sentences."""

    share: float
    openers: tuple[str, ...]
    closers: tuple[str, ...]
    extras: tuple[float, float, float]
    emoji: tuple[str, ...] = ()


BRITISH = {
    "color": "colour",
    "gray": "grey",
    "grayed": "greyed",
    "neighbor": "neighbour",
    "neighbors": "neighbours",
    "canceled": "cancelled",
    "apologize": "apologise",
    "authorization": "authorisation",
    "meter": "metre",
    "apartment": "flat",
    "vacation": "holiday",
    "roommate": "flatmate",
    "mail": "post",
}

LOCALES = (
    Locale(
        "en-US",
        0.5,
        {
            "amount": ("$~#.99", "$~#", "$~#.##", "$1~#", "~# dollars", "~#.95 USD"),
            "city": ("Austin", "Denver", "Portland", "Chicago", "Tampa", "Boise", "Newark", "San Diego", "Columbus", "Buffalo"),
            "day": ("{weekday}", "March ~", "June 1~", "October 2~", "11/1~", "4/~", "Black Friday", "the 2~th"),
            "parcel": ("package", "package", "box", "parcel"),
            "postcode": ("ZIP code", "zip"),
            "mobile": ("phone", "cell phone", "cell"),
            "carrier": ("UPS", "FedEx", "USPS", "the carrier"),
            "tax": ("tax", "EIN"),
        },
        {},
        ("Hey there,", "Hi guys,", "What's up,", "Howdy,"),
        ("Appreciate it!", "Thanks a bunch.", "Let me know, thanks!", "Have a good one."),
    ),
    Locale(
        "en-GB",
        0.28,
        {
            "amount": ("£~#.99", "£~#", "£~#.##", "£1~#", "~# quid", "~# pounds"),
            "city": ("Leeds", "Bristol", "Cardiff", "Glasgow", "York", "Norwich", "Croydon", "Belfast", "Exeter", "Hull"),
            "day": ("{weekday}", "~ March", "1~ June", "2~ October", "1~/11", "~/4", "bank holiday Monday"),
            "parcel": ("parcel", "parcel", "package"),
            "postcode": ("postcode", "post code"),
            "mobile": ("mobile", "phone"),
            "carrier": ("Royal Mail", "Evri", "DPD", "the courier"),
            "tax": ("VAT",),
        },
        BRITISH,
        ("Hiya,", "Morning,", "Hello there,", "Right,", "Sorry to bother you but"),
        ("Cheers.", "Ta!", "Cheers, much appreciated.", "Many thanks.", "Bit rubbish to be honest."),
    ),
    Locale(
        "en-IN",
        0.22,
        {
            "amount": ("Rs ~,#99", "₹~#9", "₹~,###", "Rs. ~##", "INR ~###", "~### rupees"),
            "city": ("Pune", "Bengaluru", "Jaipur", "Kochi", "Indore", "Lucknow", "Chennai", "Surat", "Nagpur", "Noida"),
            "day": ("{weekday}", "last {weekday}", "~ March", "1~th June", "2~ October", "1~/11", "0~/04"),
            "span": ("{count} days", "{count} days", "one week", "fifteen days", "more than {count} days"),
            "parcel": ("parcel", "courier", "package"),
            "postcode": ("PIN code", "pincode"),
            "mobile": ("mobile", "mobile"),
            "carrier": ("Blue Dart", "Delhivery", "India Post", "the courier boy"),
            "tax": ("GST",),
        },
        BRITISH,
        ("Dear team,", "Dear sir/madam,", "Respected team,", "Hello sir,", "Good day team,", "Greetings,"),
        (
            "Kindly do the needful.",
            "Please revert at the earliest.",
            "Kindly help on priority.",
            "Kindly look into the same.",
            "Thanking you.",
        ),
    ),
)

PRODUCTS: Mapping[str, tuple[float, tuple[str, ...]]] = {
    "apparel": (
        0.42,
        ("rain jacket", "wool sweater", "winter coat", "denim shirt", "fleece hoodie", "backpack", "cardigan", "linen dress", "scarf"),
    ),
    "kitchen": (
        0.31,
        ("espresso machine", "kettle", "blender", "air fryer", "knife set", "cast iron pan", "toaster", "stand mixer", "rice cooker"),
    ),
    "electronics": (
        0.27,
        ("wireless headset", "tablet", "bluetooth speaker", "e-reader", "fitness watch", "keyboard", "power bank", "webcam", "monitor"),
    ),
}
"""Product line: its share of the traffic and its items."""

SLOTS: Slots = {
    "other": (
        "phone case",
        "garden hose",
        "baby blanket",
        "desk lamp",
        "pair of socks",
        "coffee grinder",
        "dog leash",
        "board game",
        "umbrella",
    ),
    "order": ("~####", "~#####", "NW-~####", "no. ~####", "~##-####"),
    "weekday": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"),
    "span": ("{count} days", "a week", "two weeks", "over a week", "ten days", "a month", "more than {count} days"),
    "count": ("two", "3", "four", "5", "6", "8"),
    "card": ("card", "credit card", "debit card", "Visa", "Mastercard"),
    "digits": ("~###", "##~#"),
    "percent": ("10%", "15%", "20 percent", "25%", "30%"),
    "code": ("SPRING~#", "WELCOME10", "HELLO~#", "SAVE~#NOW", "FRIENDS~#", "VIP~##"),
    "device": ("iPhone", "iPhone 1~", "Android phone", "Galaxy", "Pixel", "iPad", "tablet", "old phone"),
    "browser": ("Chrome", "Firefox", "Safari", "Edge", "private mode"),
    "size": ("M", "L", "XL", "small", "medium", "size 4~", "size ~", "larger", "smaller"),
    "color": ("black", "navy", "green", "red", "white", "gray", "beige", "dark blue"),
    "points": ("~##", "~,###", "~#0"),
    "gadget": ("bulb", "smart plug", "thermostat", "door sensor", "motion sensor", "blind", "light strip", "smart lock", "camera"),
}

TONES: Mapping[str, Tone] = {
    "plain": Tone(
        0.4,
        ("", "", "Hi,", "Hello,", "Hey,", "Quick question:", "Hi, question:", "Hello team,", "Good evening,", "Hi support,"),
        ("", "", "", "Thanks.", "Thank you!", "Thx", "Please advise.", "Let me know.", "Please help."),
        (0.45, 0.45, 0.1),
        ("🙂", "👍"),
    ),
    "polite": Tone(
        0.2,
        (
            "Good morning, I hope you are well.",
            "Hello, could you help me please?",
            "Hi, sorry to trouble you.",
            "Good afternoon,",
            "Hello, I would be grateful for some help.",
            "Hi there, hope someone can help:",
        ),
        (
            "Many thanks in advance!",
            "Thank you for your help.",
            "I'd be really grateful.",
            "Thank you so much and have a nice day.",
            "Thanks for your patience with me.",
            "Best regards",
        ),
        (0.25, 0.5, 0.25),
        ("🙏", "😊"),
    ),
    "annoyed": Tone(
        0.17,
        (
            "This is ridiculous.",
            "Seriously?",
            "I'm really annoyed.",
            "For the third time:",
            "Hello?? Anyone there?",
            "I've had enough.",
            "Again a problem with you:",
            "",
        ),
        (
            "Not acceptable.",
            "Last time I buy here.",
            "Sort it out!",
            "I expect an answer today.",
            "Worst service ever.",
            "Do something!!",
            "I will leave a review about this.",
            "",
        ),
        (0.25, 0.45, 0.3),
        ("😡", "🤬", "🙄"),
    ),
    "unsure": Tone(
        0.1,
        (
            "Not sure if this is the right place but",
            "I'm a bit lost here:",
            "Maybe I'm doing it wrong but",
            "Stupid question maybe:",
            "I don't understand this:",
            "Hi, I'm new here.",
        ),
        ("Did I do something wrong?", "What should I do?", "Can somebody explain?", "Is that normal?", "Any ideas?", ""),
        (0.35, 0.5, 0.15),
        ("😕", "🤔"),
    ),
    "terse": Tone(0.13, ("",), ("", "", "pls", "asap", "thx", "urgent"), (0.85, 0.15, 0.0)),
}
