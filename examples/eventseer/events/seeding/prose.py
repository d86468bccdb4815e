"""The sentences of the seeded site: descriptions, biographies, comments.

Only words live here; what is an event and whom it needs is `events.seeding.world`'s business.
"""

import random

_OPENINGS = (
    "{name} is the {ordinal} meeting of a community that cares about {topic} and everything that touches "
    "it. For three days, researchers, practitioners and students meet in {city} to present finished "
    "work, argue about unfinished work, and find the people they will write the next paper with.",
    "The {ordinal} {title} brings together people from universities, industry and the public sector who "
    "work on {topic}. Since its first edition it has been a place for results that are solid, "
    "reproducible and worth a second look.",
    "We invite original contributions to {name}, to be held in {city}, {country}. The {kind} covers "
    "theory, systems and applications of {topic}, and it is deliberately single-track, so that everybody "
    "hears the same talks.",
    "{topic} has changed faster in the last five years than in the twenty before. {name} takes stock: "
    "which of the new ideas have held, which have not, and what should we work on next? We welcome "
    "submissions from all who can help to answer.",
    "After {previous}, {name} comes to {city}. The {kind} is known for long discussions and short "
    "keynotes, and for its mix of people who build things and people who prove things about {topic}.",
    "Held every year since {first}, the {title} is among the established venues for research on {topic}. "
    "This edition is organised with {host} and puts a special emphasis on work that crosses the borders "
    "of fields.",
)
_SCOPES = (
    "Topics of interest include, but are not limited to:",
    "We are looking for new work on all aspects of the field, in particular:",
    "Contributions are invited in, among others, these areas:",
    "The scope of the {kind} includes:",
)
_ASPECTS = (
    "foundations of {topic}", "empirical studies of {topic}", "{topic} at scale",
    "benchmarks and data sets for {topic}", "{topic} in industrial practice",
    "tools and infrastructure for {topic}", "teaching {topic}", "open problems in {topic}",
    "reproducibility in {topic}", "{topic} meets {other}", "ethical questions of {topic}",
    "{other} for {topic}", "long-term evaluation of {topic}",
    "visual and interactive approaches to {topic}", "negative results in {topic}",
    "energy and resource use in {topic}", "{topic} and society", "a history of {topic}",
    "uncertainty and robustness in {topic}", "case studies from {other}",
)  # fmt: skip
_SUBMISSIONS = (
    "Full papers have up to {pages} pages, short papers up to {short}, references not counted. Each "
    "submission is read by at least three members of the programme committee, and authors can answer the "
    "reviews before a decision is made. Reviewing is double-blind.",
    "We accept full papers ({pages} pages), short papers ({short} pages) and demonstrations with a "
    "two-page abstract. Submissions must be original and not under review elsewhere; preprints are "
    "welcome. Data and code should be available to the reviewers whenever that is possible.",
    "Please submit an extended abstract of at most {short} pages. Accepted authors are invited to give a "
    "talk of twenty minutes, followed by ten minutes of discussion. A prize is awarded to the best "
    "contribution by a doctoral student.",
)
_PUBLICATIONS = (
    "The proceedings appear with open access and are indexed by the usual services. Authors of selected "
    "papers will be asked to extend their work for a special issue.",
    "Accepted papers are published in the proceedings, which are free to read from the first day of the "
    "{kind}. At least one author of every paper must register.",
    "There are no formal proceedings, so that work presented here can be published elsewhere later. "
    "Slides and recordings are put online with the speakers' consent.",
)
_PRACTICAL = (
    "The {kind} takes place at {venue}, ten minutes by tram from the main station. A number of rooms is "
    "held for participants until six weeks before the start.",
    "We meet at {venue}. Travel grants are available for students and for participants from countries "
    "with few resources; please write to the organisers before the deadline of early registration.",
    "The venue is {venue}. There is a welcome reception on the first evening and an excursion on the "
    "second afternoon. Childcare can be arranged if we know of it in time.",
    "All sessions at {venue} are wheelchair accessible and streamed. Remote participants can ask "
    "questions in the same queue as everybody in the room.",
)
_VENUES = (
    "the {city} Congress Centre", "the main building of {host}", "the Old Library in {city}",
    "the Science Park {city}", "the Grand Hotel {city}", "the Museum of Technology",
    "the Botanical Garden's Palm House", "the University Club", "the Chamber of Commerce of {city}",
    "the Riverside Campus", "the Royal Academy", "the Former Brewery",
)  # fmt: skip

_POSITIONS = (
    "Professor", "Professor", "Associate Professor", "Assistant Professor", "Senior Lecturer",
    "Research Scientist", "Postdoctoral Researcher", "Doctoral Student", "Research Director",
    "Principal Engineer", "Head of Department",
)  # fmt: skip
_BIOS = (
    "{given} works on {topic}, with an eye on {other}.",
    "{given}'s research is about {topic}. Earlier stations were in {city} and {city2}.",
    "Interested in {topic}, {other}, and the places where the two meet.",
    "{given} leads a small group on {topic} and has a weakness for problems from {other}.",
    "Came to {topic} from {other}, and has never quite left either.",
    "{given} studies {topic}, mostly by building things and measuring them.",
)
_MORE_BIOS = (
    "Reviews more than is healthy.",
    "Co-author of a textbook that students call 'the blue one'.",
    "Plays the viola in a departmental string quartet.",
    "Advocates open data and short papers.",
    "Previously in industry for eight years.",
    "Always happy to hear from prospective students.",
    "Serves on the steering committees of several conferences.",
    "",
    "",
    "",
    "",
)

_TOPIC_SUMMARIES = (
    "{topic} asks how we can describe, build and understand the things that its name promises. It draws "
    "on {other} and {third}, and gives something back to both.",
    "Research on {topic} ranges from foundations to everyday practice. Its neighbours are {other} and "
    "{third}, and the borders are open.",
    "Work on {topic} appears at large conferences and in small workshops alike; here are those that we "
    "know, together with the people who shape the field. See also {other} and {third}.",
)

_COMMENTS = (
    "Does anybody know whether short papers are part of the proceedings this time?",
    "I was there last year: excellent discussions, terrible coffee. Warmly recommended.",
    "Is the deadline 'anywhere on earth' or local time? The web site doesn't say.",
    "The early registration fee for students has been lowered, by the way.",
    "Sharing a room? I arrive a day early and the hotel near the venue is nearly full.",
    "We are organising a birds-of-a-feather session on open benchmarks. Write to me if you'd like to join.",
    "Rumour has it that the deadline will be extended by a week.",
    "It was not extended, in the end. See you all next year!",
    "Very much looking forward to the keynotes.",
    "Are remote presentations possible? I can't travel that week.",
    "The reviews were long and fair. I wish more venues did it like this.",
    "Note that the tutorial day is free for local students.",
    "Does the page limit include the appendix?",
    "References and appendix don't count, I asked the chairs.",
    "If you come by train, book early; there is a fair in town at the same time.",
    "First time for me. What should I expect of the poster session?",
    "The template on the web site was updated on Monday: please use the new one.",
    "Thanks to the local organisers, this was the best-run meeting in years.",
)
_NOTES = (
    "Submit with the students' project, ask for feedback before.",
    "Only if the travel grant comes through.",
    "Book the train early!",
    "Reviewing until the week before: keep free.",
    "",
    "Good fit for the second chapter.",
)


def _lower(name: str) -> str:
    """A topic inside a sentence: `Machine Learning` becomes `machine learning`, `E-Government` stays."""
    return " ".join(
        word if word[1:] != word[1:].lower() or "-" in word[:2] else word.lower() for word in name.split()
    )


def ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def venue(chance: random.Random, city: str, host: str | None) -> str:
    """Somewhere in the city; at the host's own place only when there is a host there."""
    place = chance.choice(_VENUES)
    while host is None and "{host}" in place:
        place = chance.choice(_VENUES)
    return place.format(city=city, host=host).removeprefix("the ").replace("main building", "Main building")


def description(chance: random.Random, topics: list[str], **words: str) -> str:
    """Paragraphs with an empty line between them; a line that begins with `- ` is an item of a list."""
    main = _lower(topics[0])
    others = [_lower(topic) for topic in topics[1:]] or ["neighbouring fields"]
    words |= {"topic": main, "place": words["venue"]}
    opening = chance.choice(_OPENINGS).format(**words)
    items = [
        f"- {aspect.format(topic=chance.choice([main, main, *others]), other=chance.choice(others))}"
        for aspect in chance.sample(_ASPECTS, chance.randint(5, 8))
    ]
    submission = chance.choice(_SUBMISSIONS).format(
        pages=chance.choice((10, 12, 15)), short=chance.choice((4, 5, 6))
    )
    return "\n\n".join(
        (
            opening[0].upper() + opening[1:],
            chance.choice(_SCOPES).format(**words) + "\n\n" + "\n".join(items),
            submission,
            chance.choice(_PUBLICATIONS).format(**words),
            chance.choice(_PRACTICAL).format(
                **words | {"venue": f"the {words['venue']}".replace("Main b", "main b")}
            ),
        )
    )


def position(chance: random.Random) -> str:
    return chance.choice(_POSITIONS)


def biography(chance: random.Random, **words: str) -> str:
    words |= {"topic": _lower(words["topic"]), "other": _lower(words["other"])}
    return f"{chance.choice(_BIOS).format(**words)} {chance.choice(_MORE_BIOS)}".strip()


def topic_summary(chance: random.Random, topic: str, other: str, third: str) -> str:
    summary = chance.choice(_TOPIC_SUMMARIES).format(
        topic=_lower(topic), other=_lower(other), third=_lower(third)
    )
    return summary[0].upper() + summary[1:]


def comment(chance: random.Random) -> str:
    return chance.choice(_COMMENTS)


def note(chance: random.Random) -> str:
    return chance.choice(_NOTES)
