"""What the made-up product can send: event names, their properties, and mixes of them.

A mix says which events a user's activity consists of. Volumes and dates belong to `stories`.
"""

from dataclasses import dataclass

OLD_COMMENT = "Comment Added"
NEW_COMMENT = "Comment Posted"
BRANDING = "Branding Updated"

NOISE = {
    "Page Viewed": 14.0,
    "Button Clicked": 10.0,
    "App Heartbeat": 6.0,
    "Settings Opened": 1.3,
    "Search Performed": 0.3,
    "Folder Created": 0.2,
    "Folder Opened": 0.2,
    "Notification Opened": 0.2,
    "Notification Dismissed": 0.1,
    "Profile Updated": 0.1,
    "Avatar Changed": 0.1,
    "Password Changed": 0.1,
    "Player Paused": 0.2,
    "Player Resumed": 0.2,
    "Playback Speed Changed": 0.1,
    "Tag Added": 0.1,
    "Tag Removed": 0.1,
    "Help Opened": 0.1,
    "Tour Started": 0.1,
    "Tour Skipped": 0.1,
    "Export Started": 0.1,
    "Download Started": 0.1,
    "Theme Switched": 0.1,
    "Invoice Viewed": 0.1,
    "Session Started": 0.2,
    "Feedback Sent": 0.1,
}
"""Untracked event names and their weights; together a third of a user's events."""

NOISE_SHARE = 1 / 3

BRANDING_ON = f"{BRANDING} on"
BRANDING_OFF = f"{BRANDING} off"

PROPERTIES: dict[str, tuple[str | None, ...]] = {
    "Video Uploaded": tuple(f'{{"minutes":{m}}}' for m in (1, 2, 3, 5, 8, 13, 21, 34)),
    "Video Shared": tuple(f'{{"channel":"{c}"}}' for c in ("link", "email", "embed")),
    "AI Edit Applied": tuple(
        f'{{"tool":"{t}"}}' for t in ("trim", "silence", "highlights", "translate")
    ),
    "Integration Connected": tuple(
        f'{{"integration":"{i}"}}' for i in ("slack", "drive", "zapier")
    ),
    BRANDING_ON: ('{"enabled":true}',),
    BRANDING_OFF: ('{"enabled":false}',),
}

MIXES: dict[str, dict[str, float]] = {
    # Everything the product offers is in use.
    "full": {
        "Video Viewed": 28,
        "Video Uploaded": 12,
        "Video Shared": 9,
        OLD_COMMENT: 14,
        "Review Requested": 6,
        "Review Approved": 5,
        "AI Edit Applied": 10,
        "Caption Generated": 4,
        BRANDING_ON: 3,
        BRANDING_OFF: 0.3,
        "Analytics Viewed": 6,
        "Integration Connected": 0.7,
        "Member Invited": 1.6,
        "Live Session Hosted": 1,
    },
    # The classic product without the features that carry its value today.
    "classic": {
        "Video Viewed": 30,
        "Video Uploaded": 20,
        "Video Shared": 13,
        OLD_COMMENT: 20,
        "Review Requested": 8,
        "Review Approved": 6,
        "Member Invited": 1,
        "Live Session Hosted": 2,
    },
    # The golden case: uploads all day long, branding switched off.
    "uploads": {
        "Video Uploaded": 45,
        "Video Viewed": 25,
        "Video Shared": 10,
        OLD_COMMENT: 10,
        "Review Requested": 5,
        "Review Approved": 3,
        BRANDING_OFF: 1,
        "Member Invited": 1,
    },
    # Half of the product: no reviews, AI editing, analytics or integrations.
    "half": {
        "Video Viewed": 45,
        "Video Uploaded": 22,
        "Video Shared": 8,
        OLD_COMMENT: 20,
        BRANDING_ON: 3,
        "Member Invited": 1,
    },
    # What is left while an account fades.
    "thin": {"Video Viewed": 70, OLD_COMMENT: 20, "Video Uploaded": 10},
    # A trial that looks around and does not get going.
    "poor": {"Video Viewed": 88, "Video Uploaded": 12},
    # Nobody knows who watches a shared link.
    "visitor": {"Video Viewed": 100},
}

TRACKED = (
    "AI Edit Applied",
    "Analytics Viewed",
    BRANDING,
    "Caption Generated",
    OLD_COMMENT,
    NEW_COMMENT,
    "Integration Connected",
    "Live Session Hosted",
    "Member Invited",
    "Review Approved",
    "Review Requested",
    "Video Shared",
    "Video Uploaded",
    "Video Viewed",
)
"""The names that the dials are expected to map."""

MIX_NUMBERS = {name: number for number, name in enumerate(MIXES)}

SLOT_COUNT = 1024


@dataclass(frozen=True)
class Slots:
    """A table of SLOT_COUNT rows per mix: a uniform slot number draws an event."""

    mix_no: list[int]
    slot: list[int]
    event: list[str]
    properties: list[str | None]


def slots() -> Slots:
    """Cut every mix into SLOT_COUNT equal slots, each event at least one.

    Returns:
        Columns of equal length, SLOT_COUNT rows per mix.
    """
    table = Slots([], [], [], [])
    noise_total = sum(NOISE.values())
    for name, tracked in MIXES.items():
        tracked_total = sum(tracked.values())
        shares = {e: w / tracked_total * (1 - NOISE_SHARE) for e, w in tracked.items()}
        shares |= {e: w / noise_total * NOISE_SHARE for e, w in NOISE.items()}
        counts = {e: max(1, int(share * SLOT_COUNT)) for e, share in shares.items()}
        counts["Video Viewed"] += SLOT_COUNT - sum(counts.values())
        slot = 0
        for event, count in counts.items():
            variants = PROPERTIES.get(event, (None,))
            for i in range(count):
                table.mix_no.append(MIX_NUMBERS[name])
                table.slot.append(slot)
                table.event.append(BRANDING if event in (BRANDING_ON, BRANDING_OFF) else event)
                table.properties.append(variants[i % len(variants)])
                slot += 1
    return table


def onboarding() -> Slots:
    """What a new user tries once in the first days: every tracked event of the mix.

    Returns:
        Columns of equal length, one row per mix and event; `slot` numbers them within the mix.
    """
    table = Slots([], [], [], [])
    for name, tracked in MIXES.items():
        if name in ("visitor", "thin"):
            continue
        for number, event in enumerate(tracked):
            table.mix_no.append(MIX_NUMBERS[name])
            table.slot.append(number)
            table.event.append(BRANDING if event in (BRANDING_ON, BRANDING_OFF) else event)
            table.properties.append(PROPERTIES.get(event, (None,))[0])
    return table
