"""STEP files of a box, as CAD programs write them: AP214, one solid of six planes, in a unit of its own."""

import itertools
from collections.abc import Iterable

UNITS = {
    "mm": "SI_UNIT(.MILLI.,.METRE.)",
    "cm": "SI_UNIT(.CENTI.,.METRE.)",
    "m": "SI_UNIT($,.METRE.)",
    "inch": "",
}


class _Lines:
    """The entities of a file, each told its number."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, text: str) -> str:
        self.lines.append(text)
        return f"#{len(self.lines)}"

    def numbers(self, kind: str, values: Iterable[float]) -> str:
        return self.add(f"{kind}('',({','.join(f'{value:.6E}' for value in values)}))")

    def axis(self, at: Iterable[float], normal: Iterable[float], along: Iterable[float]) -> str:
        point, first, second = (
            self.numbers("CARTESIAN_POINT", at),
            self.numbers("DIRECTION", normal),
            self.numbers("DIRECTION", along),
        )
        return self.add(f"AXIS2_PLACEMENT_3D('',{point},{first},{second})")


def step_box(x: float, y: float, z: float, unit: str) -> str:
    """A box from the origin to (x, y, z)."""
    file = _Lines()
    corners = {c: [a * b for a, b in zip(c, (x, y, z), strict=True)] for c in itertools.product((0, 1), repeat=3)}
    vertex = {c: file.add(f"VERTEX_POINT('',{file.numbers('CARTESIAN_POINT', place)})") for c, place in corners.items()}
    edges = {}
    for c, a in itertools.product(corners, range(3)):
        if c[a] == 0:
            end = tuple(1 if i == a else v for i, v in enumerate(c))
            way = file.numbers("DIRECTION", [float(i == a) for i in range(3)])
            start = file.numbers("CARTESIAN_POINT", corners[c])
            vector = file.add(f"VECTOR('',{way},1.)")
            line = file.add(f"LINE('',{start},{vector})")
            edges[c, end] = file.add(f"EDGE_CURVE('',{vertex[c]},{vertex[end]},{line},.T.)")
    faces = []
    for a, s in itertools.product(range(3), (0, 1)):
        first, second = ((a + 1) % 3, (a + 2) % 3)[:: 1 if s else -1]
        loop = []
        for u, v in ((0, 0), (1, 0), (1, 1), (0, 1)):
            corner = [0, 0, 0]
            corner[a], corner[first], corner[second] = s, u, v
            loop.append(tuple(corner))
        turned = []
        for start_, end_ in zip(loop, loop[1:] + loop[:1], strict=True):
            forward = (start_, end_) in edges
            edge = edges[(start_, end_) if forward else (end_, start_)]
            turned.append(file.add(f"ORIENTED_EDGE('',*,*,{edge},{'.T.' if forward else '.F.'})"))
        normal = [(1.0 if s else -1.0) * (i == a) for i in range(3)]
        place = file.axis(corners[loop[0]], normal, [float(i == first) for i in range(3)])
        plane = file.add(f"PLANE('',{place})")
        around = file.add(f"EDGE_LOOP('',({','.join(turned)}))")
        bound = file.add(f"FACE_OUTER_BOUND('',{around},.T.)")
        faces.append(file.add(f"ADVANCED_FACE('',({bound}),{plane},.T.)"))
    shell = file.add(f"CLOSED_SHELL('',({','.join(faces)}))")
    solid = file.add(f"MANIFOLD_SOLID_BREP('box',{shell})")
    length = file.add(f"( LENGTH_UNIT() NAMED_UNIT(*) {UNITS[unit] or UNITS['mm']} )")
    if unit == "inch":
        exponents = file.add("DIMENSIONAL_EXPONENTS(1.,0.,0.,0.,0.,0.,0.)")
        measure = file.add(f"LENGTH_MEASURE_WITH_UNIT(LENGTH_MEASURE(25.4),{length})")
        length = file.add(f"( CONVERSION_BASED_UNIT('INCH',{measure}) LENGTH_UNIT() NAMED_UNIT({exponents}) )")
    angle = file.add("( NAMED_UNIT(*) PLANE_ANGLE_UNIT() SI_UNIT($,.RADIAN.) )")
    solid_angle = file.add("( NAMED_UNIT(*) SI_UNIT($,.STERADIAN.) SOLID_ANGLE_UNIT() )")
    exact = file.add(f"UNCERTAINTY_MEASURE_WITH_UNIT(LENGTH_MEASURE(1.E-07),{length},'distance_accuracy_value','')")
    context = file.add(
        f"( GEOMETRIC_REPRESENTATION_CONTEXT(3) GLOBAL_UNCERTAINTY_ASSIGNED_CONTEXT(({exact}))"
        f" GLOBAL_UNIT_ASSIGNED_CONTEXT(({length},{angle},{solid_angle})) REPRESENTATION_CONTEXT('','') )"
    )
    here = file.axis((0, 0, 0), (0, 0, 1), (1, 0, 0))
    shape = file.add(f"ADVANCED_BREP_SHAPE_REPRESENTATION('',({here},{solid}),{context})")
    design = file.add("APPLICATION_CONTEXT('core data for automotive mechanical design processes')")
    file.add(f"APPLICATION_PROTOCOL_DEFINITION('international standard','automotive_design',2000,{design})")
    mechanical = file.add(f"PRODUCT_CONTEXT('',{design},'mechanical')")
    product = file.add(f"PRODUCT('box','box','',({mechanical}))")
    formation = file.add(f"PRODUCT_DEFINITION_FORMATION('','',{product})")
    part = file.add(f"PRODUCT_DEFINITION_CONTEXT('part definition',{design},'design')")
    definition = file.add(f"PRODUCT_DEFINITION('design','',{formation},{part})")
    of_shape = file.add(f"PRODUCT_DEFINITION_SHAPE('','',{definition})")
    file.add(f"SHAPE_DEFINITION_REPRESENTATION({of_shape},{shape})")
    body = "\n".join(f"#{number} = {text};" for number, text in enumerate(file.lines, 1))
    return (
        "ISO-10303-21;\nHEADER;\nFILE_DESCRIPTION((''),'2;1');\n"
        "FILE_NAME('box','2020-01-01T00:00:00',(''),(''),'','','');\n"
        "FILE_SCHEMA(('AUTOMOTIVE_DESIGN { 1 0 10303 214 1 1 1 1 }'));\nENDSEC;\nDATA;\n"
        f"{body}\nENDSEC;\nEND-ISO-10303-21;\n"
    )
