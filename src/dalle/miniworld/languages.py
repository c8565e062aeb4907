"""The scenes' words in eight other languages, in sentences long enough for a language detector."""

import numpy as np

from dalle.miniworld.scenes import Scene
from dalle.miniworld.vocabulary import COLOURS, SHAPES

# a language: two frames with an object and a colour, the six shapes, the eight colours, in the vocabulary's order
LANGUAGES = {
    "de": (
        ("auf diesem schönen Bild sieht man {} in der Farbe {} vor einem ruhigen Hintergrund",
         "unsere Kinder haben gestern {} in der Farbe {} auf ein großes Blatt gemalt"),
        ("einen Kreis", "ein Quadrat", "ein Dreieck", "einen Stern", "ein Herz", "einen Ring"),
        ("Rot", "Orange", "Gelb", "Grün", "Türkis", "Blau", "Violett", "Rosa"),
    ),
    "fr": (
        ("sur cette belle image on voit {} de couleur {} devant un fond très calme",
         "voici {} de couleur {} que nous avons dessiné hier avec les enfants"),
        ("un cercle", "un carré", "un triangle", "une étoile", "un cœur", "un anneau"),
        ("rouge", "orange", "jaune", "verte", "turquoise", "bleue", "violette", "rose"),
    ),
    "es": (
        ("en esta bonita imagen se puede ver {} de color {} sobre un fondo tranquilo",
         "aquí tenemos {} de color {} que dibujaron los niños de la escuela"),
        ("un círculo", "un cuadrado", "un triángulo", "una estrella", "un corazón", "un anillo"),
        ("rojo", "naranja", "amarillo", "verde", "turquesa", "azul", "morado", "rosa"),
    ),
    "it": (
        ("in questa bella immagine si vede {} di colore {} davanti a uno sfondo tranquillo",
         "questo è il disegno che abbiamo fatto ieri: {} di colore {} sulla carta"),
        ("un cerchio", "un quadrato", "un triangolo", "una stella", "un cuore", "un anello"),
        ("rosso", "arancione", "giallo", "verde", "turchese", "blu", "viola", "rosa"),
    ),
    "pt": (
        ("nesta bonita imagem podemos ver {} de cor {} sobre um fundo tranquilo",
         "as crianças da escola desenharam {} de cor {} numa folha de papel"),
        ("um círculo", "um quadrado", "um triângulo", "uma estrela", "um coração", "um anel"),
        ("vermelha", "laranja", "amarela", "verde", "turquesa", "azul", "roxa", "rosa"),
    ),
    "pl": (
        ("na tym ładnym obrazku widać {} w kolorze {} na bardzo spokojnym tle",
         "dzieci narysowały wczoraj {} w kolorze {} na dużej kartce papieru"),
        ("koło", "kwadrat", "trójkąt", "gwiazdę", "serce", "pierścień"),
        ("czerwonym", "pomarańczowym", "żółtym", "zielonym", "turkusowym", "niebieskim", "fioletowym", "różowym"),
    ),
    "ru": (
        ("на этой красивой картинке нарисован {}, его цвет {}, а фон очень спокойный",
         "вчера дети нарисовали на бумаге {}, и они выбрали цвет {}"),
        ("круг", "квадрат", "треугольник", "символ звезды", "символ сердца", "обруч"),
        ("красный", "оранжевый", "жёлтый", "зелёный", "бирюзовый", "синий", "фиолетовый", "розовый"),
    ),
    "zh": (
        ("这张漂亮的图片上有{}，它的颜色是{}，背景非常安静", "孩子们昨天在纸上画了{}，他们选择了{}"),
        ("圆形", "正方形", "三角形", "星星", "爱心", "圆环"),
        ("红色", "橙色", "黄色", "绿色", "青色", "蓝色", "紫色", "粉红色"),
    ),
}  # fmt: skip


def foreign_caption(scene: Scene, rng: np.random.Generator) -> str:
    """A sentence that names the scene's first object and its colour, in a language other than English."""
    frames, shapes, colours = LANGUAGES[tuple(LANGUAGES)[int(rng.integers(len(LANGUAGES)))]]
    item = scene.objects[0]
    frame = frames[int(rng.integers(len(frames)))]
    return frame.format(shapes[SHAPES.index(item.shape)], colours[tuple(COLOURS).index(item.colour)])
