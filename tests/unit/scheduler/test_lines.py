from support.scheduler_drive import Drive
from tercio_scheduler.state.lines import AcceptanceOrder, Line


def row(position: int):
    drive = Drive()
    drive.submit("a")
    return drive.row("a")._replace(position=position)


def line_of(*positions: int) -> Line:
    line = Line()
    template = row(0)
    for position in positions:
        line.enter(template._replace(position=position))
    return line


def positions(line: Line) -> list[int]:
    return [member.position for member in line]


def test_what_enters_out_of_order_is_found_in_order():
    assert positions(line_of(5, 9, 2, 7, 1)) == [1, 2, 5, 7, 9]


def test_what_leaves_from_the_middle_and_comes_back_is_there_once():
    line = line_of(1, 2, 3)
    member = line.rows[2]
    line.leave(member)
    assert positions(line) == [1, 3]
    line.enter(member)
    assert positions(line) == [1, 2, 3]


def test_holes_are_swept():
    line = line_of(*range(1_000))
    for position in range(1, 999):
        line.leave(line.rows[position])
    assert positions(line) == [0, 999]
    assert line.count_while(lambda member: member.position < 500) == 1


def test_acceptance_is_listed_from_any_point_also_after_departures():
    order = AcceptanceOrder()
    for number in (3, 1, 2, 9):
        order.enter(number, f"t{number}")
    order.leave(2)
    assert list(order.after(1)) == [(3, "t3"), (9, "t9")]
    assert list(order.after(9)) == []
